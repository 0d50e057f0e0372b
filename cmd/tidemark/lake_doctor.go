package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
)

func newLakeDoctor(a *app, name *string) *cobra.Command {
	var x lake.Examination
	cmd := &cobra.Command{
		Use: "doctor [TABLE...]", Short: "what is wrong with a lake, and what to do",
		Long: `doctor looks at the catalog, at the storage (it writes, reads, lists and removes a file) and at every table: metadata and
manifests, files that are missing, of another size or left over, statistics against the files' footers, the order of rows, events
that are there twice, unfinished publications, commits of other tools, clocks. Rows are read of a sample of files; --deep reads all.

Each finding is wrong (rows are lost, doubled or cannot be read), warn (something has to be done) or note. With one of the
first two the exit code is 4.`,
		Example: "  tidemark lake doctor --lake data/lake\n  tidemark lake doctor processed.trade --lake prod --deep --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			found := []lake.Finding{}
			l, _, err := a.openLake(cmd.Context(), *name, false)
			if err == nil {
				defer func() { _ = l.Close() }()
				if len(args) > 0 {
					x.Tables = args
				}
				if found, err = l.Examine(cmd.Context(), x); err != nil {
					return err
				}
			} else if fe := fault.From(err); fe.Exit == fault.ExitFailed {
				found = append(found, lake.Finding{Level: lake.Wrong, Code: fe.Code, What: fe.Error(), Where: *name, Count: 1, Remedy: fe.Remedy})
			} else {
				return err // there is no such lake, or the config is wrong
			}
			if err := a.printFindings(found); err != nil {
				return err
			}
			if n := len(slices.DeleteFunc(slices.Clone(found), func(f lake.Finding) bool { return f.Level == lake.Note })); n > 0 {
				return &fault.Error{Code: "lake_ill", Message: "something is wrong with the lake", Where: *name, Why: fmt.Sprintf("findings that are more than notes: %d", n), Exit: fault.ExitDifference}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&x.Deep, "deep", false, "read all rows of all files instead of a sample")
	return cmd
}

func (a *app) printFindings(found []lake.Finding) error {
	if a.json {
		return a.printJSON(map[string]any{"findings": found})
	}
	if len(found) == 0 {
		return a.print("nothing is wrong\n")
	}
	st := a.style(a.outTTY)
	paint := map[lake.Level]func(string) string{lake.Wrong: st.Red, lake.Warn: st.Yellow, lake.Note: st.Faint}
	var b strings.Builder
	for _, f := range found {
		table := f.Table
		if table == "" {
			table = "the lake"
		}
		fmt.Fprintf(&b, "%s  %s: %s", paint[f.Level](string(f.Level)), table, f.What)
		if f.Count > 1 {
			fmt.Fprintf(&b, " (%s in all)", term.Int(f.Count))
		}
		b.WriteByte('\n')
		if f.Where != "" {
			fmt.Fprintf(&b, "      at    %s\n", f.Where)
		}
		if f.Remedy != "" {
			fmt.Fprintf(&b, "      help  %s\n", f.Remedy)
		}
	}
	return a.print(b.String())
}
