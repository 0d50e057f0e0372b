// Package substrait stands in for the module that holds Substrait's definitions of
// functions, by a replace directive. iceberg-go parses all of them when a program starts,
// which takes 100 ms and 32 MB, to filter rows in scans of its own; ours never asks it to.
// Without definitions the parser has nothing to do. iceberg-go's planning does not use them.
package substrait

import "embed"

// One file without definitions: the parser wants one.
//
//go:embed extensions/none.yaml
var none embed.FS

// GetSubstraitFS is a file system with no definition.
func GetSubstraitFS() embed.FS { return none }

// GetSubstraitExtensionsFS is a file system with no definition.
func GetSubstraitExtensionsFS() embed.FS { return none }

// GetSubstraitTestsFS is a file system with no test.
func GetSubstraitTestsFS() embed.FS { return none }
