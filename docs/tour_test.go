package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
)

// The tour runs on recorded data: its commands run in order in a folder where data is the
// data folder, print what the page shows and draw the pictures that are committed.
// UPDATE_DOCS=1 writes the pictures.
func TestTour_RunsAndDraws(t *testing.T) {
	t.Parallel()
	root := filepath.Dir(exdata.Path(t, "rawstream"))
	bin := binary(t)
	dir := t.TempDir()
	if err := os.Symlink(root, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	all := pageBlocks(t, "tour.md")
	for i, b := range all {
		switch b.lang {
		case "yaml":
			if b.role != "shipped" {
				write(t, filepath.Join(dir, nameOf(b)+".yaml"), b.text)
				continue
			}
			src, err := os.ReadFile(filepath.Join("../specs", nameOf(b)+".yaml"))
			if err != nil || !strings.Contains(string(src), b.text) {
				t.Errorf("tour.md:%d: not the beginning of the shipped spec: %v", b.line, err)
			}
		case "sh":
			out, _ := commands(t, "tour.md", b, dir, bin)
			if i+1 < len(all) && all[i+1].lang == "text" {
				printed(t, "tour.md", all[i+1], out)
			}
		}
	}
	page, err := os.ReadFile("tour.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(drawn) == 0 {
		t.Fatalf("the page draws nothing: %v", err)
	}
	for _, path := range drawn {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join("tour", filepath.Base(path))
		if !strings.Contains(string(page), "("+filepath.ToSlash(name)+")") {
			t.Errorf("%s is not shown", name)
		}
		if len(got) > 150_000 {
			t.Errorf("%s has %d bytes", name, len(got))
		}
		if os.Getenv("UPDATE_DOCS") == "1" {
			write(t, name, string(got))
		}
		if want, err := os.ReadFile(name); err != nil || string(want) != string(got) {
			t.Errorf("%s is not what the command of the page draws (UPDATE_DOCS=1 writes it): %v", name, err)
		}
	}
	if kept, _ := filepath.Glob("tour/*"); len(kept) != len(drawn) {
		t.Errorf("docs/tour holds %v, the page draws %d pictures", kept, len(drawn))
	}
}
