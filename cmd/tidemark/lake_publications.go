package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

// published is one publication in one table, as --json prints it.
type published struct {
	ID       string     `json:"publication"`
	Table    string     `json:"table"`
	From     int64      `json:"from"`
	To       int64      `json:"to"`
	Entities [][]string `json:"entities,omitempty"`
	Revision int32      `json:"revision"`
	Removed  int64      `json:"removed"`
	Added    int64      `json:"added"`
	At       int64      `json:"published_at"`
	Who      string     `json:"who,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Snapshot int64      `json:"snapshot_id"`
	Undoes   string     `json:"undoes,omitempty"`
}

func publishedJSON(all []lake.Published) []published {
	out := []published{}
	for _, p := range all {
		out = append(out, published{string(p.ID), p.Table, p.From, p.To, p.Entities, p.Revision, p.Removed, p.Added, p.At, p.Who, p.Reason, p.Snapshot, string(p.Undoes)})
	}
	return out
}

// publishedText says what a publication did and how to undo it.
func publishedText(p lake.Published, name string) string {
	return fmt.Sprintf("published in %s: %s rows for %s (revision %d); undo: tidemark lake undo %s --lake %s",
		p.Table, term.Int(p.Added), term.Int(p.Removed), p.Revision, p.ID, name)
}

func newLakePublications(a *app, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "publications", Short: "what has replaced rows of feature tables, and when", Args: exactly(0, ""), Example: "  tidemark lake publications --lake data/lake",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, _, err := a.openLake(cmd.Context(), *name, false)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			all, err := l.Publications(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(publishedJSON(all))
			}
			if len(all) == 0 {
				return a.print("nothing has been published yet: tidemark run -o lake: does\n")
			}
			var rows [][]string
			for _, p := range all {
				what := p.Reason
				if p.Undoes != "" {
					what = "undoes " + string(p.Undoes)
				}
				rows = append(rows, []string{string(p.ID), market.FormatTime(p.At), p.Table, market.FormatTime(p.From), market.FormatTime(p.To), fmt.Sprint(p.Revision), term.Int(p.Removed), term.Int(p.Added), what})
			}
			return a.print(a.style(a.outTTY).Table([]term.Column{
				{Head: "publication", Keep: true}, {Head: "at"}, {Head: "table", Keep: true}, {Head: "from"}, {Head: "to"}, {Head: "rev", Right: true},
				{Head: "removed", Right: true}, {Head: "added", Right: true}, {Head: "why"},
			}, rows))
		},
	}
}

func newLakeUndo(a *app, name *string) *cobra.Command {
	yes, why := false, ""
	cmd := &cobra.Command{
		Use: "undo PUBLICATION", Short: "bring back the rows that a publication replaced", Args: exactly(1, "publication"),
		Long: `undo publishes the rows that a publication replaced, as the next revision; nothing is rolled back, and an undo can be
undone. Later publications of the same rows have to be undone first.`,
		Example: "  tidemark lake undo 2491523fda7a48b2873bd2ff3b81e6b1 --lake data/lake --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, _, err := a.openLake(cmd.Context(), *name, false)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			if !yes {
				if !a.outTTY || !a.errTTY {
					return fault.Usage("confirmation_missing", "undo replaces rows and nobody can be asked here", "add --yes")
				}
				a.say("Undo publication %s? Type its first four characters: ", args[0])
				line, err := bufio.NewReader(a.in).ReadString('\n')
				if err != nil || len(args[0]) < 4 || strings.TrimSpace(line) != args[0][:4] {
					return fault.Usage("not_confirmed", "not confirmed: nothing was done", "")
				}
			}
			t, err := a.teller(l)
			if err != nil {
				return err
			}
			done, err := l.Undo(cmd.Context(), lake.CommitID(args[0]), lake.Publication{ID: lake.NewCommitID(), Reason: why, Who: os.Getenv("USER"), At: a.now().UnixMicro()}, t.tables...)
			if err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(publishedJSON(done)); err != nil {
					return err
				}
				return t.tell(cmd.Context(), a)
			}
			for _, p := range done {
				if err := a.print(publishedText(p, *name) + "\n"); err != nil {
					return err
				}
			}
			return t.tell(cmd.Context(), a)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&why, "reason", "", "`text` that is noted with the publication")
	return cmd
}
