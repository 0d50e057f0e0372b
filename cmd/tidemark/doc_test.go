package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/run/describe"
)

// Generated pages say what the program does. UPDATE_DOCS=1 writes them anew.
func TestDoc_GeneratedPages(t *testing.T) {
	catalogue, err := describe.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	for path, got := range map[string][]byte{"../../docs/commands.md": commandsPage(), "../../docs/catalogue.md": []byte(catalogue), "../../docs/config.md": configPage(t)} {
		if os.Getenv("UPDATE_DOCS") == "1" {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program says; make gen writes it", path)
		}
	}
}

// TestDoc_EveryCommandExplainsItself: a sentence, an example, and a meaning for each flag.
func TestDoc_EveryCommandExplainsItself(t *testing.T) {
	each(testRoot(), func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no short help", c.CommandPath())
		}
		if c.Runnable() && c.HasParent() && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if len(f.Usage) < 8 {
				t.Errorf("%s --%s is not explained", c.CommandPath(), f.Name)
			}
		})
	})
}

func testRoot() *cobra.Command {
	return newRoot(&app{color: "auto", in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, now: time.Now})
}

// each visits the commands that a user sees, pages of help left out.
func each(c *cobra.Command, visit func(*cobra.Command)) {
	if c.Name() == "help" || c.Name() == "completion" || !c.Runnable() && !c.HasSubCommands() {
		return
	}
	visit(c)
	for _, s := range c.Commands() {
		each(s, visit)
	}
}

func commandsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Commands\n\nWritten by `make gen` from the commands themselves; `tidemark COMMAND --help` says the same.\n")
	root := testRoot()
	each(root, func(c *cobra.Command) {
		if !c.HasParent() {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n", c.CommandPath())
		long := c.Long
		if long == "" {
			long = c.Short
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(long))
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```console\n%s\n```\n", strings.TrimRight(strings.ReplaceAll(c.Example, "  tidemark", "tidemark"), "\n"))
		}
		if u := flagTable(c.NonInheritedFlags()); u != "" && !c.HasSubCommands() {
			fmt.Fprintf(&b, "\n%s", u)
		}
	})
	fmt.Fprintf(&b, "\n## Flags of every command\n\n%s", flagTable(root.PersistentFlags()))
	for _, c := range root.Commands() {
		if !c.Runnable() && !c.HasSubCommands() && c.Name() != "pages" && c.Name() != "formats" {
			fmt.Fprintf(&b, "\n## %s\n\n```text\n%s\n```\n", strings.ToUpper(c.Short[:1])+c.Short[1:], strings.TrimRight(c.Long, "\n"))
		}
	}
	return b.Bytes()
}

func flagTable(fs *pflag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if b.Len() == 0 {
			b.WriteString("| flag | value | default | meaning |\n| --- | --- | --- | --- |\n")
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		def := f.DefValue
		if f.Value.Type() != "string" && slices.Contains([]string{"[]", "false", "0", "0s"}, def) { // as in --help
			def = ""
		}
		esc := strings.NewReplacer("|", "\\|")
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, esc.Replace(value), esc.Replace(def), esc.Replace(usage))
	})
	return b.String()
}
