package zone

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/market"
)

func load(t *testing.T, name string) *Zone {
	t.Helper()
	z, ok := Load(name)
	if !ok {
		t.Fatalf("no zone %s", name)
	}
	return z
}

func at(t *testing.T, text string) int64 {
	t.Helper()
	x, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return x.UnixMicro()
}

// TestDays holds days on which clocks were set, or will be, to what is known of them.
func TestDays(t *testing.T) {
	for _, c := range []struct {
		zone, in, start, end string
	}{
		{"America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"}, // 23 h
		{"America/New_York", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}, // 25 h
		{"America/New_York", "2026-07-01T03:59:59Z", "2026-06-30T04:00:00Z", "2026-07-01T04:00:00Z"},
		{"Asia/Tokyo", "2026-07-01T15:00:00Z", "2026-07-01T15:00:00Z", "2026-07-02T15:00:00Z"},
		{"Asia/Kolkata", "2026-07-01T18:29:59Z", "2026-06-30T18:30:00Z", "2026-07-01T18:30:00Z"},
		{"Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"Africa/Cairo", "2023-04-28T12:00:00Z", "2023-04-27T22:00:00Z", "2023-04-28T21:00:00Z"},        // no midnight: 00:00 was 01:00
		{"Asia/Beirut", "2022-03-27T12:00:00Z", "2022-03-26T22:00:00Z", "2022-03-27T21:00:00Z"},         // the same
		{"America/St_Johns", "2010-11-07T12:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"},    // at 00:01 set back to 23:01
		{"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},        // the 29th, and then
		{"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},        // the 31st
		{"Australia/Lord_Howe", "2026-10-04T00:00:00Z", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"}, // half an hour
		{"Etc/UTC", "2026-10-04T00:00:00Z", "2026-10-04T00:00:00Z", "2026-10-05T00:00:00Z"},
	} {
		g := Grid{Width: market.Day, Zone: load(t, c.zone)}
		n := g.Index(at(t, c.in))
		start, end := g.Start(n), g.Start(n+1)
		if start != at(t, c.start) || end != at(t, c.end) {
			t.Errorf("%s: %s is in %s – %s, want %s – %s", c.zone, c.in, market.FormatTime(start), market.FormatTime(end), c.start, c.end)
		}
	}
	g := Grid{Width: market.Day, Zone: load(t, "Pacific/Apia")}
	if n := g.Index(at(t, "2011-12-30T10:00:00Z")); g.Start(n-1) != g.Start(n) || g.Index(g.Start(n)-1) != n-2 {
		t.Error("Apia had a 30th of December in 2011")
	}
	if _, ok := Load("Mars/Olympus"); ok {
		t.Error("a zone of Mars")
	}
}

// TestGrid holds windows of all zones to a walk over local time by the package time.
func TestGrid(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	for i, name := range Names() {
		if i%5 != 0 && name != "America/New_York" && name != "Pacific/Apia" {
			continue
		}
		z := load(t, name)
		loc := locationOf(t, name)
		for range 200 {
			x := market.MinEventTime + g.Int64N(market.MaxEventTime-market.MinEventTime)
			if _, want := time.UnixMicro(x).In(loc).Zone(); z.offset[z.segment(x)] != int64(want)*market.Second {
				t.Fatalf("%s: at %s the offset is %d µs, want %d s", name, market.FormatTime(x), z.offset[z.segment(x)], want)
			}
		}
		for range 8 {
			w := Grid{Width: (2 + g.Int64N(200)) * market.Hour, Origin: g.Int64N(100) * 15 * market.Minute, Zone: z}
			if g.IntN(2) == 0 {
				w.Width = market.Day
			}
			var x int64 // half of them on the day before clocks are set
			if x = market.MinEventTime + g.Int64N(market.MaxEventTime-market.MinEventTime); len(z.at) > 1 && g.IntN(2) == 0 {
				x = z.at[1+g.IntN(len(z.at)-1)] + g.Int64N(2*market.Day) - market.Day
			}
			if !market.ValidTime(x) {
				continue
			}
			n := w.Index(x)
			start, end := w.Start(n), w.Start(n+1)
			if x < start || x >= end || end-start > w.Longest() {
				t.Fatalf("%s %+v: %s is in %s – %s", name, w, market.FormatTime(x), market.FormatTime(start), market.FormatTime(end))
			}
			if w.Index(start) != n || w.Index(end-1) != n || w.Index(end) <= n {
				t.Fatalf("%s: window %d is %s – %s, which are in %d, %d, %d", name, n, market.FormatTime(start), market.FormatTime(end), w.Index(start), w.Index(end-1), w.Index(end))
			}
			for _, k := range []int64{n, n + 1} {
				if want := walk(loc, k*w.Width+w.Origin); w.Start(k) != want {
					t.Fatalf("%s: window %d begins %s, want %s", name, k, market.FormatTime(w.Start(k)), market.FormatTime(want))
				}
			}
		}
	}
}

func locationOf(t *testing.T, name string) *time.Location {
	t.Helper()
	for _, f := range database().File {
		if f.Name == name {
			loc, err := location(f)
			if err != nil {
				t.Fatal(err)
			}
			return loc
		}
	}
	return nil
}

// walk looks for the first instant at which clocks show a local time or later, from two days before.
func walk(loc *time.Location, local int64) int64 {
	shows := func(t int64) int64 {
		_, off := time.UnixMicro(t).In(loc).Zone()
		return t + int64(off)*market.Second
	}
	t := market.FloorDiv(local, market.Minute)*market.Minute - 2*market.Day
	for shows(t) < local { // what sets clocks does it at whole minutes
		t += market.Minute
	}
	return t
}

func TestNests(t *testing.T) {
	ny, berlin, kolkata := load(t, "America/New_York"), load(t, "Europe/Berlin"), load(t, "Asia/Kolkata")
	day := func(z *Zone) Grid { return Grid{Width: market.Day, Zone: z} }
	for _, c := range []struct {
		name string
		g, p Grid
		want bool
	}{
		{"days of minutes", day(ny), Grid{Width: market.Minute}, true},
		{"days of hours", day(ny), Grid{Width: market.Hour}, true},
		{"days of hours where hours begin at the half", day(kolkata), Grid{Width: market.Hour}, false},
		{"days of half hours there", day(kolkata), Grid{Width: 30 * market.Minute}, true},
		{"days of six hours of UTC", day(ny), Grid{Width: 6 * market.Hour}, false},
		{"days of six hours of the zone", day(ny), Grid{Width: 6 * market.Hour, Zone: ny}, true},
		{"weeks of days", Grid{Width: 7 * market.Day, Zone: ny, Origin: 4 * market.Day}, day(ny), true},
		{"days of days elsewhere", day(ny), day(berlin), false},
		{"days of another name", day(ny), day(load(t, "US/Eastern")), true},
		{"days of UTC of days of a zone", Grid{Width: 2 * market.Day}, day(ny), false},
		{"days of the afternoon of days", Grid{Width: market.Day, Origin: 17 * market.Hour, Zone: ny}, day(ny), false},
		{"minutes of 17 seconds", day(ny), Grid{Width: market.Minute, Origin: 17 * market.Second}, false},
		{"UTC", Grid{Width: market.Day}, Grid{Width: market.Hour}, true},
	} {
		if got := c.g.Nests(c.p); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
	if ny.Sum() == berlin.Sum() || ny.Shift() != market.Hour {
		t.Errorf("sums %x %x, shift %d", ny.Sum(), berlin.Sum(), ny.Shift())
	}
}
