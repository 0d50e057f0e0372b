package verify

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

// lateEvent is an event that came late.
type lateEvent struct {
	ts   int64
	text string
}

// maxLateTold bounds the late events that are told of an hour.
const maxLateTold = 10

// lateEvents are those that rows of a range may feel, by time.
func (v *view) lateEvents(ctx context.Context, r backfill.Range) ([]lateEvent, error) {
	var out []lateEvent
	for i := range v.in.Tables {
		t := &v.in.Tables[i]
		if t.Snapshot == 0 {
			continue
		}
		tab, err := v.c.Lake.Load(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		from := max(r.From-v.out.Reach, market.MinEventTime)
		sc, err := tab.Scan(ctx, lake.Query{Snapshot: t.Snapshot, Columns: []string{"ts", "exchange", "market", "symbol", "late"}, From: from, To: r.To, Late: true})
		if err != nil {
			return nil, err
		}
		err = func() error {
			defer sc.Close()
			cols := sc.Columns()
			at := func(name string) int {
				for i := range cols {
					if cols[i].Name == name {
						return i
					}
				}
				return -1
			}
			ts, ex, mk, sy, la := at("ts"), at("exchange"), at("market"), at("symbol"), at("late")
			for {
				b, err := sc.Next()
				if err != nil || b == nil {
					return err
				}
				for i := range b.N {
					if b.Cols[la].I32[i] == 0 {
						continue
					}
					when := b.Cols[ts].I64[i]
					out = append(out, lateEvent{when, fmt.Sprintf("%s %s %s/%s/%s", t.Name, market.FormatTime(when), b.Cols[ex].Text(i), b.Cols[mk].Text(i), b.Cols[sy].Text(i))})
				}
			}
		}()
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	slices.SortStableFunc(out, func(a, b lateEvent) int { return int(min(max(a.ts-b.ts, -1), 1)) })
	return out, nil
}

// takeLate notes the late events of [from, to).
func (h *Hour) takeLate(all []lateEvent, from, to int64) {
	lo := sort.Search(len(all), func(i int) bool { return all[i].ts >= from })
	hi := sort.Search(len(all), func(i int) bool { return all[i].ts >= to })
	h.LateEvents = hi - lo
	for _, e := range all[lo:min(hi, lo+maxLateTold)] {
		h.Late = append(h.Late, e.text)
	}
}
