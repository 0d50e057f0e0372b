package sql

import (
	"fmt"
	"strings"
)

type valueKind uint8

const (
	vBad   valueKind = iota // its problem has been reported
	vNull                   // the constant null
	vInt                    // sql is the mantissa at scale
	vRatio                  // sql at scale over den at denScale; den is null, never 0
	vFloat                  // DOUBLE; cannot be computed with
	vText
	vBool
)

// value is an expression of the query. Fields of vRatio: num / den.
type value struct {
	kind            valueKind
	sql, den        string
	scale, denScale int
	whole           bool // vInt: a whole number, time or duration by type, stored as BIGINT
}

func intValue(sql string, scale int) value { return value{kind: vInt, sql: sql, scale: scale} }

// at returns the mantissa of an integer value at a scale that is not less than its own. A
// literal of more than 38 digits would be a DOUBLE: it is left to a product that overflows.
func at(sql string, from, to int) string {
	if to <= from {
		return sql
	}
	if digits := strings.Trim(sql, "0123456789") == ""; digits && sql != "0" && len(sql)+to-from <= 38 {
		return sql + power(to - from)[1:]
	}
	return fmt.Sprintf("(%s * %s)", huge(sql), power(to-from))
}

// ratio makes a pair of a value.
func (v value) ratio() value {
	if v.kind == vInt {
		return value{kind: vRatio, sql: v.sql, scale: v.scale, den: "1"}
	}
	return v
}

// stored is the value as the result has it.
func (v value) stored() string {
	switch {
	case v.kind == vInt && v.whole:
		return fmt.Sprintf("CAST(%s AS BIGINT)", v.sql)
	case v.kind == vInt && v.scale == 0:
		return fmt.Sprintf("CAST(%s AS DECIMAL(38,0))", v.sql)
	case v.kind == vInt:
		return fmt.Sprintf("CAST(%s AS DECIMAL(38,0)) * CAST('1e-%d' AS DECIMAL(38,%d))", v.sql, v.scale, v.scale)
	case v.kind == vRatio:
		return v.quotient()
	}
	return v.sql
}

// quotient is the one division of a ratio. The terms are brought to one scale and to
// lowest terms first, so that most are exact in DOUBLE; their text is rounded once.
func (v value) quotient() string {
	n, d := at(v.sql, v.scale, v.denScale), at(v.den, v.denScale, v.scale)
	part := func(x string) string {
		return fmt.Sprintf("CAST(CAST(%s // gcd(%s, %s) AS VARCHAR) AS DOUBLE)", x, n, d)
	}
	return fmt.Sprintf("%s / %s", part(n), part(d))
}
