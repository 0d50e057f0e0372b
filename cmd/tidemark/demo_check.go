package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/topic"
)

// check looks whether the servers that were named do what the tour needs, and have nothing of another one: it begins from nothing.
func (d *demo) check(ctx context.Context, own bool) error {
	a := &app{config: d.file("tidemark.yaml"), now: d.a.now}
	if !own {
		if err := d.checkKafka(ctx, a); err != nil {
			return err
		}
	}
	if d.catalog == "" {
		return nil
	}
	l, _, err := a.openLake(ctx, d.lake, true)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if err := tryStorage(ctx, l, d.lake); err != nil {
		return err
	}
	have, err := l.Tables(ctx)
	if err == nil && len(have) > 0 {
		return fault.Usage("lake_used", fmt.Sprintf("the catalog has tables named demo already, such as %s", have[0]), "name another database, or drop the tables: the tour begins from nothing")
	}
	return err
}

func (d *demo) checkKafka(ctx context.Context, a *app) error {
	s, err := a.openStream(&streamFlags{}, true)
	if err != nil {
		return err
	}
	if _, err := s.Kafka.Ping(ctx); err != nil {
		return err
	}
	want, have, err := s.topics(ctx)
	if err != nil {
		return err
	}
	for _, t := range have {
		if slices.ContainsFunc(want, func(w topic.Topic) bool { return w.Name == t.Name }) {
			return fault.Usage("topics_used", fmt.Sprintf("this Kafka has topics of the tour already, such as %s", t.Name), "delete them, or name another Kafka: the tour begins from nothing")
		}
	}
	return nil
}
