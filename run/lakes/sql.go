package lakes

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
)

// Tools are the tools that SQL words a table for.
var Tools = []string{"duckdb", "spark", "pyiceberg", "polars", "clickhouse"}

// Access is how a tool reaches the lake.
type Access struct {
	Kind, Name, URI, Warehouse string // of the catalog
	Endpoint                   string // of an S3 service that is not AWS
}

// SQL is what to paste into a tool to read a table with plain prices: the exact mantissa
// and scale of a decimal become one double. A timestamp column is UTC.
func SQL(t *lake.Table, tool string, a Access) (string, error) {
	cols, err := t.Columns()
	if err != nil {
		return "", err
	}
	names := map[string]bool{}
	for _, c := range cols {
		names[c.Name] = true
	}
	var plain []string // decimal columns
	var list []string
	for _, c := range cols {
		base, ok := strings.CutSuffix(c.Name, "_mantissa")
		if ok && names[base+"_scale"] && c.Type.String() == "long" && !names[base] {
			plain = append(plain, base)
			list = append(list, base)
			continue
		}
		if base, ok := strings.CutSuffix(c.Name, "_scale"); ok && names[base+"_mantissa"] && !names[base] && !strings.HasPrefix(typeOf(t, base+"_mantissa"), "list") {
			continue
		}
		list = append(list, c.Name)
	}
	selects := func(double, power string) string {
		var out []string
		for _, n := range list {
			expr := n
			for _, p := range plain {
				if p == n {
					expr = fmt.Sprintf("%s(%s_mantissa AS DOUBLE) / %s(10, %s_scale) AS %s", double, n, power, n, n)
				}
			}
			out = append(out, expr)
		}
		return strings.Join(out, ",\n       ")
	}
	meta := t.MetadataLocation()
	switch tool {
	case "duckdb":
		return fmt.Sprintf(`INSTALL iceberg; LOAD iceberg;%s
SET TimeZone = 'UTC';
SELECT %s
FROM iceberg_scan('%s');
`, duckS3(a, meta), selects("CAST", "pow"), meta), nil
	case "spark":
		return fmt.Sprintf("-- spark.sql.catalog.%s is an org.apache.iceberg.spark.SparkCatalog%s\nSELECT %s\nFROM %s.%s;\n",
			a.Name, sparkConf(a), selects("CAST", "pow"), a.Name, t.Name()), nil
	case "clickhouse":
		fn := "icebergLocal('" + strings.TrimPrefix(t.Location(), "file://") + "')"
		if strings.HasPrefix(meta, "s3://") {
			url := t.Location()
			if a.Endpoint != "" {
				url = strings.TrimRight(a.Endpoint, "/") + "/" + strings.TrimPrefix(t.Location(), "s3://")
			}
			fn = "icebergS3('" + url + "', KEY, SECRET)"
		}
		return fmt.Sprintf("SELECT %s\nFROM %s;\n", selects("CAST", "pow"), fn), nil
	case "pyiceberg":
		return pyiceberg(a, t, plain) + "print(rows)\n", nil
	case "polars":
		var exprs []string
		for _, p := range plain {
			exprs = append(exprs, fmt.Sprintf("    (pl.col(%q) / 10.0 ** pl.col(%q)).alias(%q),", p+"_mantissa", p+"_scale", p))
		}
		return fmt.Sprintf("import polars as pl\n%srows = pl.scan_iceberg(table).with_columns(\n%s\n).collect()\nprint(rows)\n", pyTable(a, t), strings.Join(exprs, "\n")), nil
	}
	return "", fault.Usage("tool_unknown", fmt.Sprintf("no snippet for %q", tool), fault.DidYouMean(tool, Tools))
}

func typeOf(t *lake.Table, name string) string {
	cols, err := t.Columns()
	if err != nil {
		return ""
	}
	for _, c := range cols {
		if c.Name == name {
			return c.Type.String()
		}
	}
	return ""
}

func duckS3(a Access, meta string) string {
	if !strings.HasPrefix(meta, "s3://") {
		return ""
	}
	if a.Endpoint == "" {
		return "\nINSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);"
	}
	host := a.Endpoint[strings.Index(a.Endpoint, "//")+2:]
	return fmt.Sprintf("\nINSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…', ENDPOINT '%s', URL_STYLE 'path', USE_SSL %v);",
		host, strings.HasPrefix(a.Endpoint, "https"))
}

func sparkConf(a Access) string {
	switch a.Kind {
	case "sqlite":
		return fmt.Sprintf(" with type jdbc, uri jdbc:sqlite:%s, jdbc.schema-version V1, warehouse %s", a.URI, a.Warehouse)
	case "postgres":
		return fmt.Sprintf(" with type jdbc, uri jdbc:postgresql://…, jdbc.schema-version V1, warehouse %s", a.Warehouse)
	}
	return fmt.Sprintf(" with type rest, uri %s", a.URI)
}

func pyTable(a Access, t *lake.Table) string {
	s3 := ""
	if a.Endpoint != "" {
		s3 = fmt.Sprintf(", **{\"s3.endpoint\": %q}", a.Endpoint)
	}
	switch a.Kind {
	case "rest":
		return fmt.Sprintf("from pyiceberg.catalog import load_catalog\n\ntable = load_catalog(%q, type=\"rest\", uri=%q%s).load_table(%q)\n", a.Name, a.URI, s3, t.Name())
	case "sqlite":
		return fmt.Sprintf("from pyiceberg.catalog import load_catalog\n\ntable = load_catalog(%q, type=\"sql\", uri=\"sqlite:///%s\"%s).load_table(%q)\n", a.Name, a.URI, s3, t.Name())
	}
	return fmt.Sprintf("from pyiceberg.table import StaticTable\n\ntable = StaticTable.from_metadata(%q)\n", t.MetadataLocation())
}

func pyiceberg(a Access, t *lake.Table, plain []string) string {
	var b strings.Builder
	b.WriteString(pyTable(a, t))
	b.WriteString("rows = table.scan().to_pandas()\n")
	for _, p := range plain {
		fmt.Fprintf(&b, "rows[%q] = rows[%q] / 10.0 ** rows[%q]\n", p, p+"_mantissa", p+"_scale")
	}
	return b.String()
}
