package play

import "github.com/pinova-group/tidemark/market"

// fault draws the faults of the next event: the delays of it and of its copies, µs. They are
// functions of the seed and of how many events came before.
func (p *player) fault(feed market.FeedID) []int64 {
	c := p.cfg
	n := uint64(p.n)
	p.n++
	delays := p.delays[:0]
	delay := int64(0)
	if c.Shuffle > 0 {
		delay = int64(mix(c.Seed, n, 0) % uint64(c.Shuffle))
	}
	if hit(c.Late, mix(c.Seed, n, 1)) {
		// Later than anything in time can be, by up to a second more.
		delay = c.Shuffle + p.feeds.Get(feed).Disorder + market.Millisecond + int64(mix(c.Seed, n, 2)%uint64(market.Second))
		p.rep.Delayed++
	}
	delays = append(delays, delay)
	if hit(c.Duplicate, mix(c.Seed, n, 3)) {
		delays = append(delays, delay+int64(mix(c.Seed, n, 4)%uint64(max(c.Shuffle, 100*market.Millisecond))))
	}
	p.delays = delays
	return delays
}

func hit(ppm int, x uint64) bool { return ppm > 0 && x%1_000_000 < uint64(ppm) }

// mix is a hash of three numbers: SplitMix64's finaliser over their combination.
func mix(a, b, c uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 + b*0xbf58476d1ce4e5b9 + (c+1)*0x94d049bb133111eb
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
