package main

import (
	"context"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/correct"
)

// teller tells consumers of the stream of the config of publications. The zero one has nobody to tell.
type teller struct {
	cfg    *correct.Config
	tables []string // of the views of the stream
}

func (a *app) teller(l *lake.Lake) (*teller, error) {
	c, _, err := a.readConfig()
	if err != nil || len(c.Kafka.Brokers) == 0 || len(c.Stream.Views) == 0 {
		return &teller{}, err
	}
	s, err := a.openStream(&streamFlags{}, true)
	if err != nil {
		return nil, err
	}
	t := &teller{cfg: &correct.Config{Lake: l, Log: a.logger()}}
	for _, o := range s.outputs {
		if !strings.Contains(o.Name, "(") { // only another view's parent, with parameters of its own
			t.cfg.Outputs = append(t.cfg.Outputs, o)
			t.tables = append(t.tables, run.FeatureTable(&o))
		}
	}
	if t.cfg.Options, err = s.Kafka.Options(); err != nil {
		return nil, err
	}
	t.cfg.Schemas, err = s.schemas()
	return t, err
}

// tell tells of what has not been told.
func (t *teller) tell(ctx context.Context, a *app) error {
	if t.cfg == nil {
		return nil
	}
	told, err := correct.Send(ctx, *t.cfg)
	if !a.json {
		for _, x := range told {
			a.say("told consumers in %s: %s rows of publication %s\n", x.Topic, term.Int(x.Rows), x.ID)
		}
	}
	return err
}
