package run

import (
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run/input"
)

// adapterList is what may read the input: the known formats, or files of a map.
func adapterList(m *canon.Map, format string, kinds *market.Kinds) ([]*adapters.Adapter, error) {
	if m == nil {
		return Formats(), nil
	}
	if format != "" && format != input.Auto {
		return nil, fault.Usage("map_format", "--map and --input-format exclude each other", "leave out --input-format: the map says how the input is read")
	}
	a, err := canon.Mapped(m, kinds)
	if err != nil {
		return nil, err
	}
	return []*adapters.Adapter{a}, nil
}

// inputOf says how files are read whose format, map and kinds a user names, with registries
// of its own.
func inputOf(e EventsConfig, specs []string, m *canon.Map, env Env) (input.Config, error) {
	paths, err := input.Expand(e.Inputs)
	if err != nil {
		return input.Config{}, err
	}
	kinds, err := kindsOf(specs)
	if err != nil {
		return input.Config{}, err
	}
	formats, err := adapterList(m, e.Format, kinds)
	if err != nil {
		return input.Config{}, err
	}
	return input.Config{
		Paths: paths, Adapters: formats, Format: e.Format, Feed: e.Feed, Feeds: market.NewFeeds(), Insts: market.NewInstruments(), Kinds: kinds, Stdin: env.Stdin,
	}, nil
}

// kindsOf is the table of the kinds that spec files define, nil without files.
func kindsOf(specs []string) (*market.Kinds, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	set, _, err := Check(specs, nil)
	if err != nil {
		return nil, err
	}
	return set.Kinds, nil
}
