package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market/canon"
)

func TestMap_MistakesOfTheFile(t *testing.T) {
	dir := t.TempDir()
	for want, text := range map[string]string{
		"field kolumns not found":     "map: trade\nkolumns: {}\n",
		"not one of column, unit":     "map: trade\ncolumns:\n  price: {column: px, units: s}\n",
		"column is missing":           "map: trade\ncolumns:\n  price: {unit: s}\n",
		"a constant or {column":       "map: trade\ncolumns:\n  price: [px]\n",
		"is no duration":              "map: trade\ncolumns:\n  event_ts: {column: t, add: soon}\n",
		"no kind is called":           "map: tread\ncolumns:\n  price: {column: px}\n",
		"already defined":             "map: trade\ncolumns:\n  price: {column: px}\n  price: {column: py}\n",
		"does not say what market is": "map: trade\ncolumns:\n  price: {column: px}\n",
	} {
		path := filepath.Join(dir, "m.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := readMap(path)
		if err == nil {
			_, err = canon.Mapped(m, nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) || fault.From(err).Exit != fault.ExitUsage || !strings.Contains(err.Error(), "m.yaml") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
