// Package zone tells the local time of IANA time zones, and lays windows on it. The data is part of
// the program, never that of the machine: the same program has the same days everywhere (I1).
package zone

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"sync"
	"time"

	"github.com/pinova-group/tidemark/market"
)

// Release is the release of the IANA time zone database that is in the program.
const Release = "2025c"

// The database as Go packs it, in the public domain: lib/time/zoneinfo.zip of Go's source tree.
//
//go:generate sh -c "gzip -9 -n -c $(go env GOROOT)/lib/time/zoneinfo.zip > zoneinfo.zip.gz"
//go:embed zoneinfo.zip.gz
var packed []byte

var database = sync.OnceValue(func() *zip.Reader {
	g, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err)
	}
	b, err := io.ReadAll(g)
	if err != nil {
		panic(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	return z
})

// Names are the known zones, such as Europe/Berlin, in order.
func Names() []string {
	var names []string
	for _, f := range database().File {
		if f.FileInfo().Mode().IsRegular() {
			names = append(names, f.Name)
		}
	}
	sort.Strings(names)
	return names
}

// Zone is the offset of a zone's clocks at any event time, as a table: offset[i] holds from at[i] on.
type Zone struct {
	Name   string
	at     []int64 // µs UTC; the first is before any event
	offset []int64 // local − UTC, µs
	peak   []int64 // the latest local time that clocks reached, or come to, before at[i+1]; grows
}

var loaded sync.Map // name → *Zone

// Load finds a zone by its name; false when there is none.
func Load(name string) (*Zone, bool) {
	if z, ok := loaded.Load(name); ok {
		return z.(*Zone), true
	}
	for _, f := range database().File {
		if f.Name != name || !f.FileInfo().Mode().IsRegular() {
			continue
		}
		loc, err := location(f)
		if err != nil {
			panic(fmt.Sprintf("zone %s: %v", name, err))
		}
		z, _ := loaded.LoadOrStore(name, newZone(name, loc))
		return z.(*Zone), true
	}
	return nil, false
}

func location(f *zip.File) (*time.Location, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData(f.Name, data)
}

// newZone writes out what happens from a year before the first event to a year after the last. Offsets are looked
// up every few days: none holds for less. (Time.ZoneBounds does not leave the last day of a leap year.)
func newZone(name string, loc *time.Location) *Zone {
	const first, last, step = market.MinEventTime - 366*market.Day, market.MaxEventTime + 366*market.Day, 3 * market.Day
	at := func(t int64) int64 {
		_, seconds := time.UnixMicro(t).In(loc).Zone()
		return int64(seconds) * market.Second
	}
	z := &Zone{Name: name, at: []int64{first}, offset: []int64{at(first)}}
	for t := first; t < last; t += step {
		old, now := z.offset[len(z.offset)-1], at(t+step)
		if now == old {
			continue
		}
		k := sort.Search(int(step/market.Second), func(s int) bool { return at(t+int64(s)*market.Second) != old })
		z.at, z.offset = append(z.at, t+int64(k)*market.Second), append(z.offset, now)
	}
	for i := 1; i < len(z.at); i++ {
		z.peak = append(z.peak, z.at[i]+z.offset[i-1])
		if i > 1 {
			z.peak[i-1] = max(z.peak[i-1], z.peak[i-2])
		}
	}
	return z
}

// Sum is a hash of the table: two zones with one sum have the same local times.
func (z *Zone) Sum() [32]byte {
	var b []byte
	for i := range z.at {
		b = binary.BigEndian.AppendUint64(b, uint64(z.at[i]))
		b = binary.BigEndian.AppendUint64(b, uint64(z.offset[i]))
	}
	return sha256.Sum256(b)
}

// Shift is the most by which local time is set, forth and back together, µs: 1h where there is summer
// time. No window is longer than its width by more.
func (z *Zone) Shift() int64 {
	least, most := z.offset[0], z.offset[0]
	for _, o := range z.offset {
		least, most = min(least, o), max(most, o)
	}
	return most - least
}

// segment is the place in the table of the offset at t.
func (z *Zone) segment(t int64) int {
	return max(sort.Search(len(z.at), func(i int) bool { return z.at[i] > t })-1, 0)
}

// Offset is local time − UTC at t, µs.
func (z *Zone) Offset(t int64) int64 { return z.offset[z.segment(t)] }

// reached is the latest local time that clocks have shown at t: when they are set back it stands still.
func (z *Zone) reached(t int64) int64 {
	i := z.segment(t)
	local := t + z.offset[i]
	if i > 0 {
		local = max(local, z.peak[i-1]-1)
	}
	return local
}

// first is the instant when clocks show a local time, or a later one, for the first time.
func (z *Zone) first(local int64) int64 {
	i := sort.Search(len(z.peak), func(i int) bool { return z.peak[i] > local })
	if i == 0 {
		return local - z.offset[0]
	}
	return max(local-z.offset[i], z.at[i])
}
