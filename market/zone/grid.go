package zone

import "github.com/pinova-group/tidemark/market"

// Grid is windows [Start(n), Start(n+1)) that leave no time out. In UTC they have one width and begin at the
// multiples of it from an origin. In a zone it is local time that they have so: a window begins
// when clocks show its begin, or something later, for the first time. So a day has 23 or 25 hours when clocks are set,
// and a window that clocks leap over (a date line that moves) has no instant.
type Grid struct {
	Width, Origin int64 // µs; Origin of the zone's local time
	Zone          *Zone // nil for UTC
}

// Index is the window of t.
func (g Grid) Index(t int64) int64 {
	if g.Zone != nil {
		t = g.Zone.reached(t)
	}
	return market.FloorDiv(t-g.Origin, g.Width)
}

// Start is the begin of window n.
func (g Grid) Start(n int64) int64 {
	t := n*g.Width + g.Origin
	if g.Zone != nil {
		t = g.Zone.first(t)
	}
	return t
}

// Longest is the greatest length that a window can have.
func (g Grid) Longest() int64 {
	if g.Zone != nil {
		return g.Width + g.Zone.Shift()
	}
	return g.Width
}

// Nests reports whether every window of g begins where one of p does.
func (g Grid) Nests(p Grid) bool {
	if g.Width%p.Width != 0 {
		return false
	}
	if p.Zone != nil || g.Zone == nil {
		same := p.Zone == nil && g.Zone == nil || p.Zone != nil && g.Zone != nil && p.Zone.Sum() == g.Zone.Sum()
		return same && (g.Origin-p.Origin)%p.Width == 0
	}
	for i, o := range g.Zone.offset { // a window begins at a whole step of local time, or when clocks are set
		if (g.Origin-o-p.Origin)%p.Width != 0 || i > 0 && (g.Zone.at[i]-p.Origin)%p.Width != 0 {
			return false
		}
	}
	return true
}
