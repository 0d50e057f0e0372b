// Package specs holds the views that are shipped: spec files and the JSON Schema for
// editors, as data. It knows nothing of the language they are written in.
package specs

import (
	"embed"
	"io/fs"
	"sort"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Schema is the JSON Schema of spec files (draft 2020-12).
//
//go:embed schema.json
var Schema []byte

// Find returns the spec file of a shipped view; false when there is none of that name.
// The caller may keep the bytes.
func Find(name string) ([]byte, bool) {
	if strings.ContainsAny(name, "/\\") {
		return nil, false
	}
	text, err := files.ReadFile(name + ".yaml")
	return text, err == nil
}

// Names lists the shipped views, sorted.
func Names() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	sort.Strings(names)
	return names
}
