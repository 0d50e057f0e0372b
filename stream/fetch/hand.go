package fetch

import (
	"slices"
	"time"
)

// Handed is what a partition holds at some offsets, from whoever wrote it, in this process, and knows that it is committed.
type Handed struct {
	From, To int64 // offsets [From, To), records of one transaction and nothing else
	Records  int
	What     any
}

// quiet is how long a partition that was handed on is not fetched, for others may write to it.
const quiet = 250 * time.Millisecond

// Hand puts h where a fetch would have put its records, if it follows on what was read last, and reports whether it did. While
// a partition is handed on it is not fetched. It may be called beside all other methods.
func (r *Reader) Hand(i int, h *Handed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.inputs[i]
	// Between two transactions of a producer lies the mark of the first one: where there is one offset, it is the mark's.
	follows := h.From == in.next || h.From == in.next+1 && in.next == in.handed
	was := !follows && h.From <= in.next && in.next <= h.To+1 // a fetch was faster
	if r.ctx.Err() != nil || !follows && !was || in.waits() && r.handed >= r.config.MaxHanded {
		in.given = false // what lies between, or what there is no room for, is fetched
		r.change.Broadcast()
		return false
	}
	in.given = true
	if in.quiet == nil {
		in.quiet = time.AfterFunc(quiet, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			in.given = false
			r.change.Broadcast()
		})
	} else {
		in.quiet.Reset(quiet)
	}
	if was {
		return false
	}
	in.ready = append(in.ready, batch{handed: h, end: h.To})
	in.next, in.handed, in.high = h.To, h.To, max(in.high, h.To)
	r.handed += h.Records
	r.tell()
	return true
}

// TakeHanded takes what is next of an input if it was handed on; else it returns nil.
func (r *Reader) TakeHanded(i int) *Handed {
	in := r.inputs[i]
	r.mu.Lock()
	defer r.mu.Unlock()
	in.takeReady()
	if len(in.taking) == 0 || in.taking[0].handed == nil {
		return nil
	}
	h := in.taking[0].handed
	in.taking = slices.Delete(in.taking, 0, 1)
	in.pos = h.To
	r.handed -= h.Records
	if !in.there() {
		in.pos = in.next
	}
	return h
}

// Again has an input read from an offset once more, by fetches.
func (r *Reader) Again(i int, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.inputs[i]
	in.takeReady()
	for k := range in.taking {
		b := &in.taking[k]
		in.waiting -= b.size
		r.bytes -= b.size
		if b.handed != nil {
			r.handed -= b.handed.Records
		}
	}
	clear(in.taking)
	in.taking = in.taking[:0]
	in.next, in.pos, in.given = offset, offset, false
	r.change.Broadcast()
}

// takeReady moves what was fetched to what the caller takes.
func (in *input) takeReady() {
	in.taking = append(in.taking, in.ready...)
	clear(in.ready)
	in.ready = in.ready[:0]
}
