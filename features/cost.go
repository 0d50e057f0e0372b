package features

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Cost counts the operations of one view: instructions, accumulators and values loaded,
// for each row that goes in and for each that comes out. It is a measure that does not
// depend on the machine; operations are not all equally fast.
type Cost struct {
	Output int         // index in Outputs; -1 for a hidden view that makes panes for several
	Parent int         // index in Costs of the view that it reads, -1 when it reads events
	Kind   market.Kind // of these events
	Group  string      // how rows are grouped: events are grouped once for all views with one group
	In     int
	Out    int
}

// Costs lists the costs of all views, those of Outputs first, in their order.
func (p *Plan) Costs() []Cost {
	var cs []Cost
	for i, v := range p.views {
		c := Cost{Output: i, Parent: v.Parent, Kind: v.Kind, In: len(v.Pick) + len(v.Accs), Out: len(v.Loads)}
		if v.Hidden {
			c.Output = -1
		}
		c.Group = fmt.Sprint(v.Parent, v.Kind)
		for _, r := range v.By {
			c.Group += fmt.Sprint(" ", r.Source, r.Index)
		}
		c.In += len(v.Slow) + v.Held
		if v.Finish != nil {
			c.Out += len(v.Finish.Code)
		}
		if v.Alerts.Prog != nil {
			c.Out += len(v.Alerts.Prog.Code) + len(v.Alerts.Loads)
		}
		if v.Shape == plan.Rolling {
			c.Out += 3 * len(v.Accs) // a pane is merged at most three times
		}
		cs = append(cs, c)
	}
	return cs
}
