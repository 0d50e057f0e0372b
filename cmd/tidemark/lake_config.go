package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/run/lakes"
)

// lakeConfig is one lake that is not a folder.
type lakeConfig struct {
	Catalog catalogConfig `yaml:"catalog"`
	S3      s3Config      `yaml:"s3"`
}

// catalogConfig says where the tables of a lake are listed.
type catalogConfig struct {
	// `sqlite`, `postgres` or `rest`.
	Kind string `yaml:"kind" must:"yes"`
	// The same in every tool that shares the catalog.
	Name string `yaml:"name" must:"yes"`
	// File of the database (sqlite), its URL (postgres), or the URL of the server (rest). `$VAR` and `${VAR}` are of the environment.
	URI string `yaml:"uri" must:"yes"`
	// Folder of the tables: `file:///…` or `s3://…`. May be left out with rest.
	Warehouse string `yaml:"warehouse" must:"but rest"`
	// Of an Iceberg REST server, such as `rest.sigv4-enabled`.
	Properties map[string]string `yaml:"properties"`
}

// s3Config says how the storage of a lake is reached.
type s3Config struct {
	// URL of a service that is not AWS.
	Endpoint string `yaml:"endpoint" default:"of $AWS_ENDPOINT_URL_S3, or AWS"`
	Region   string `yaml:"region" default:"of the AWS default chain"` // Region of the bucket.
	// The bucket stands in the path, not in the name of the host.
	PathStyle bool `yaml:"path_style"`
	// Static credentials. `$VAR` and `${VAR}` are of the environment.
	AccessKey string `yaml:"access_key" default:"of the AWS default chain"`
	// The other half of `access_key`.
	SecretKey string `yaml:"secret_key" default:"of the AWS default chain"`
	// PEM file of certificates to trust besides the system's.
	CAFile string `yaml:"ca_file"`
	// Encryption of new files: `AES256` or `aws:kms`.
	SSE string `yaml:"sse" default:"of the bucket"`
	// Key id of `aws:kms`.
	KMSKey string `yaml:"kms_key" default:"of the bucket"`
}

// addLake adds --lake.
func addLake(f *pflag.FlagSet, name *string) {
	f.StringVar(name, "lake", os.Getenv("TIDEMARK_LAKE"), "`DIR|NAME`: a folder that holds a lake, or a lake of tidemark.yaml (default: $TIDEMARK_LAKE)")
}

// bySymbolFlag is --by-symbol.
type bySymbolFlag struct {
	text string
	by   *[]lake.Partition
}

func (f *bySymbolFlag) String() string { return f.text }
func (f *bySymbolFlag) Type() string   { return "each|BUCKETS" }

func (f *bySymbolFlag) Set(text string) (err error) {
	f.text = text
	*f.by, err = lake.BySymbol(text)
	return err
}

// addBySymbol adds --by-symbol.
func addBySymbol(f *pflag.FlagSet, by *[]lake.Partition) {
	f.Var(&bySymbolFlag{by: by}, "by-symbol", "partition new tables of the lake by symbol, too, `each|BUCKETS`: each by itself, or so many buckets of them")
}

// openLake opens the lake that --lake names; create makes that of a folder.
func (a *app) openLake(ctx context.Context, name string, create bool) (*lake.Lake, lakes.Access, error) {
	conf := lake.Config{Now: a.now, Build: version}
	if name == "" {
		return nil, lakes.Access{}, fault.Usage("lake_missing", "no lake given", "name its folder: --lake DIR, or set TIDEMARK_LAKE")
	}
	config, file, err := a.lakesConfig()
	if err != nil {
		return nil, lakes.Access{}, err
	}
	named := config.Lakes
	var acc lakes.Access
	if c, ok := named[name]; ok {
		conf.Catalog = catalog.Config{Kind: c.Catalog.Kind, Name: c.Catalog.Name, URI: os.ExpandEnv(c.Catalog.URI), Warehouse: c.Catalog.Warehouse, Properties: c.Catalog.Properties}
		conf.S3 = objstore.S3Config{
			Endpoint: c.S3.Endpoint, Region: c.S3.Region, PathStyle: c.S3.PathStyle, AccessKey: os.ExpandEnv(c.S3.AccessKey), SecretKey: os.ExpandEnv(c.S3.SecretKey),
			SSE: c.S3.SSE, KMSKey: c.S3.KMSKey,
		}
		if c.S3.CAFile != "" {
			if conf.S3.CABundle, err = os.ReadFile(c.S3.CAFile); err != nil {
				return nil, acc, &fault.Error{Code: "config_invalid", Message: "cannot read the certificates", Where: file + ": lakes." + name + ".s3.ca_file", Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
			}
		}
		acc = lakes.Access{Kind: conf.Catalog.Kind, Name: conf.Catalog.Name, URI: conf.Catalog.URI, Warehouse: conf.Catalog.Warehouse, Endpoint: c.S3.Endpoint}
	} else {
		dir, err := filepath.Abs(name)
		if err != nil {
			return nil, acc, err
		}
		db := filepath.Join(dir, "catalog.db")
		if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) && !create {
			remedy := "tidemark lake init --lake " + name + " makes one there"
			if len(named) > 0 && !strings.ContainsAny(name, "/\\.") {
				remedy += "; lakes of " + file + " are " + strings.Join(slices.Sorted(maps.Keys(named)), ", ")
			}
			return nil, acc, &fault.Error{Code: "lake_missing", Message: "there is no lake", Where: name, Remedy: remedy, Exit: fault.ExitNoTable}
		}
		conf.Dir = dir
		warehouse, err := objstore.FolderURI(dir)
		if err != nil {
			return nil, acc, err
		}
		acc = lakes.Access{Kind: "sqlite", Name: lake.CatalogName, URI: db, Warehouse: warehouse}
	}
	l, err := lake.Open(ctx, conf)
	if err != nil {
		if _, known := errors.AsType[*fault.Error](err); known {
			return nil, acc, err
		}
		return nil, acc, &fault.Error{Code: "lake_unreachable", Message: "cannot open the lake", Where: name, Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
			Remedy: "see that the catalog and the storage that --lake names can be reached, with these credentials"}
	}
	return l, acc, nil
}

// lakesConfig reads the config and checks the lakes in it.
func (a *app) lakesConfig() (*fileConfig, string, error) {
	c, file, err := a.readConfig()
	if err != nil {
		return nil, file, err
	}
	for name, l := range c.Lakes {
		for key, v := range map[string]string{"kind": l.Catalog.Kind, "name": l.Catalog.Name, "uri": l.Catalog.URI, "warehouse": l.Catalog.Warehouse} {
			if v == "" && (key != "warehouse" || l.Catalog.Kind != "rest") {
				return nil, file, fault.Usage("config_invalid", fmt.Sprintf("%s: lakes.%s.catalog.%s is missing", file, name, key), "docs/lake.md has examples")
			}
		}
	}
	return c, file, nil
}
