package run

import (
	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// EventsConfig is an input of events, for who takes events and no rows of views.
type EventsConfig struct {
	Inputs []string // files, folders, patterns, or "-"
	Format string   // input format, "" or auto: by content
	Feed   string   // feed to book events to, "" for the adapter's own choice

	Payloads bool // keep what venues sent, for input.Chunk.Payload
}

// OpenEvents opens an input. Feeds and instruments of its events are put into the registries;
// kinds are those that it may have, nil for the release's.
func OpenEvents(cfg EventsConfig, feeds *market.Feeds, insts *market.Instruments, kinds *market.Kinds, env Env) (*input.Reader, error) {
	if len(cfg.Inputs) == 0 {
		return nil, fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv.gz")
	}
	paths, err := input.Expand(cfg.Inputs)
	if err != nil {
		return nil, err
	}
	r, err := input.Open(input.Config{
		Paths: paths, Adapters: Formats(), Format: cfg.Format, Feed: cfg.Feed, Feeds: feeds, Insts: insts, Kinds: kinds, Stdin: env.Stdin, Payloads: cfg.Payloads,
	})
	if err != nil {
		return nil, err
	}
	if env.Meter != nil {
		progress := r.Progress
		env.Meter.bytes.Store(&progress)
	}
	return r, nil
}

// WriteRows writes rows of a view, whose schema w has by Schema; names gives the entities.
func WriteRows(w rowfile.Writer, o *features.Output, v *features.ViewRows, names func(entity uint32) []string) error {
	return newSink(w, 0, o).write(v, func(_ int, entity uint32) []string { return names(entity) })
}
