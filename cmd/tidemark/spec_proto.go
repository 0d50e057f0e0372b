package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
)

func newSpecProto(a *app) *cobra.Command {
	var kinds []string
	var all, alerts bool
	cmd := &cobra.Command{
		Use: "proto [NAME|FILE...]", Short: "the .proto file of a view's rows, or of kinds of events",
		Long: `proto prints the Protobuf message of a view's rows as they are in its topic and in the schema registry; of several
specs that of the last view, the others are what it refers to; with --alerts that of its alerts. With --kind it prints those of kinds of events, one
file after the other; --kinds is all of them. Kinds of your own come from files among the specs.`,
		Example: "  tidemark spec proto trade_bars_1m > trade_bars_1m.proto\n  tidemark spec proto hot_instruments --alerts\n  tidemark spec proto --kind trade\n  tidemark spec proto weather.yaml --kind weather",
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := protoFiles(args, kinds, all, alerts)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"files": files})
			}
			var texts []string
			for _, f := range files {
				texts = append(texts, f.Text)
			}
			return a.print(strings.Join(texts, "\n"))
		},
	}
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "kinds of events, `NAME` of each, comma between")
	cmd.Flags().BoolVar(&all, "kinds", false, "all kinds of events")
	cmd.Flags().BoolVar(&alerts, "alerts", false, "what is in the topic of the view's alerts")
	return cmd
}

// protoFile is one .proto file.
type protoFile struct {
	Message string `json:"message"`
	Text    string `json:"text"`
}

func protoFiles(specs, names []string, all, alerts bool) ([]protoFile, error) {
	var table *market.Kinds
	if len(specs) > 0 {
		set, _, err := run.Check(specs, nil)
		if err != nil {
			return nil, err
		}
		table = set.Kinds
	}
	var known []string
	of := map[string]market.Kind{}
	for k := range market.Kind(market.NumKinds) {
		if table.Fields(k) != nil {
			known = append(known, table.Name(k))
			of[table.Name(k)] = k
		}
	}
	schemas := record.NewSchemasOf(nil, table)
	if all {
		names = known
	}
	var files []protoFile
	for _, n := range names {
		k, ok := of[n]
		if !ok {
			return nil, fault.Usage("kind_unknown", "no kind is called "+n, fault.DidYouMean(n, known))
		}
		files = append(files, protoFile{schemas.EventName(k), record.ProtoOfKind(table, k)})
	}
	if len(names) > 0 {
		if alerts {
			return nil, fault.Usage("flags_conflict", "--alerts is of a view, not of kinds", "name the view alone")
		}
		return files, nil
	}
	if len(specs) == 0 {
		return nil, fault.Usage("argument_missing", "missing view to print", "name one (tidemark spec list), or kinds of events: --kind trade")
	}
	plan, src, err := run.Compile(specs, nil, market.NewFeeds())
	if err != nil {
		return nil, err
	}
	last, _, ok := run.LastView(src)
	if !ok {
		return nil, fault.Usage("view_missing", "these specs define kinds and no view", "add --kinds, or name a view")
	}
	outputs := plan.Outputs()
	for i := range outputs {
		o := &outputs[i]
		if o.Name == last.View.Text && alerts && len(o.Alerts) == 0 {
			return nil, fault.Usage("alerts_none", o.Name+" has no alerts", "")
		}
		if o.Name == last.View.Text {
			if alerts {
				o = o.AlertOutput()
			}
			return []protoFile{{record.ViewName(o.Name, o.Version), record.ProtoOfView(o)}}, nil
		}
	}
	return nil, fault.Usage("view_unknown", "no view is called "+last.View.Text, "")
}
