package fetch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Input is a partition and the offset to read it from.
type Input struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Config says how much is read ahead.
type Config struct {
	MaxWait  time.Duration // that a broker waits when there is nothing
	MaxBytes int32         // of an answer, compressed, about; until twice that waits, more is asked for
	// MaxHanded is how many records that were handed on may wait, beside one transaction of each partition.
	MaxHanded int
}

// Reader reads partitions ahead of who takes their records. One caller takes records of a
// partition, others may those of others; all else is one caller's.
type Reader struct {
	cl         *kgo.Client
	config     Config
	pool       pool
	decompress kgo.Decompressor

	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup
	came   chan struct{} // something to be taken, or an error

	mu     sync.Mutex
	change *sync.Cond // of what the loops wait for
	inputs []*input
	ids    map[string][16]byte // of topics
	nodes  map[int32]bool      // that have a loop
	stale  bool                // some leader is not known
	bytes  int                 // that wait, as they are stored
	handed int                 // records that wait, not fetched
	moved  bool                // some input got on without records
	err    error
}

// input is one partition.
type input struct {
	Input
	leader int32 // -1: not known
	next   int64 // offset to be fetched
	asked  int64 // offset that was asked for, while busy
	high   int64 // of the partition, as told last
	held   bool  // not to be read for now
	busy   bool  // asked for
	need   int32 // bytes of the largest batch so far: answers with room for less bring none
	fails  int
	rest   bool // after a failure, for a while

	given  bool        // handed on, so it is not fetched
	handed int64       // offset after what was handed on last; -1: nothing was
	quiet  *time.Timer // until it is fetched again

	ready   []batch // fetched and not taken
	waiting int     // bytes of them

	taking []batch // by the caller
	pos    int64   // of the next record to be taken
	used   [][]byte
	spent  int // of them, which are released next
}

const (
	minBytes  = 64 << 10  // of a partition in an answer
	maxBytes  = 512 << 10 // likewise, unless a batch is larger
	maxBatch  = 128 << 20
	shortWait = 5 * time.Millisecond // while something may not be asked for
	minRest   = 20 * time.Millisecond
	maxRest   = time.Second
	patience  = 30 // answers that a topic is not known, until that is true
)

// New begins to read. Close ends it.
func New(cl *kgo.Client, c Config, inputs []Input) *Reader {
	r := &Reader{cl: cl, config: c, came: make(chan struct{}, 1), ids: map[string][16]byte{}, nodes: map[int32]bool{}, stale: true}
	r.decompress = kgo.DefaultDecompressor(&r.pool)
	r.change = sync.NewCond(&r.mu)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for _, in := range inputs {
		r.inputs = append(r.inputs, &input{Input: in, leader: -1, next: in.Offset, pos: in.Offset, handed: -1})
	}
	r.loops.Go(r.lead)
	return r
}

// Close ends reading. What was taken stays good.
func (r *Reader) Close() {
	r.cancel()
	r.mu.Lock()
	r.change.Broadcast()
	r.mu.Unlock()
	r.loops.Wait()
}

// Wait waits until an input that is not held has records or got on without, the reader is closed, or ctx
// ends; the last two are no errors.
func (r *Reader) Wait(ctx context.Context) error {
	for {
		r.mu.Lock()
		err, there := r.err, r.moved || slices.ContainsFunc(r.inputs, func(in *input) bool { return !in.held && in.there() })
		r.moved = false
		r.mu.Unlock()
		if err != nil || there {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.ctx.Done():
			return nil
		case <-r.came:
		}
	}
}

// waits reports whether records wait that are not being taken.
func (in *input) waits() bool { return len(in.ready) > 0 }

// there reports whether records wait to be taken.
func (in *input) there() bool { return len(in.ready)+len(in.taking) > 0 }

// Ready reports whether an input is not held and has records.
func (r *Reader) Ready(i int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.inputs[i]
	return !in.held && in.there()
}

// Hold says whether an input is not to be read for now.
func (r *Reader) Hold(i int, held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inputs[i].held != held {
		r.inputs[i].held = held
		r.change.Broadcast()
	}
}

// Next is the offset after the records that were taken, and the marks of transactions after them.
func (r *Reader) Next(i int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inputs[i].pos
}

// Behind is how many offsets of an input were not taken yet, as its broker told last.
func (r *Reader) Behind(i int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.inputs[i].high-r.inputs[i].pos)
}

// Take appends the next records of an input to dst, n at most. They are good until Release, once they are spent.
func (r *Reader) Take(i int, dst []Record, n int) ([]Record, error) {
	in := r.inputs[i]
	r.mu.Lock()
	in.takeReady()
	done, pos := 0, in.pos
	r.mu.Unlock()
	at, to := len(dst), len(dst)+n
	dst = slices.Grow(dst, n)[:to]
	for done < len(in.taking) && at < to && in.taking[done].handed == nil {
		b := &in.taking[done]
		if err := b.open(r.decompress); err != nil {
			return dst[:at], fmt.Errorf("%s/%d: %w", in.Topic, in.Partition, err)
		}
		for b.n > 0 && at < to {
			n, err := b.take(dst[at:to])
			for k, end := at, at+n; k < end; k++ {
				if dst[k].Offset < pos { // a batch may begin before what was asked for
					continue
				}
				if k > at {
					dst[at] = dst[k]
				}
				at, pos = at+1, dst[k].Offset+1
			}
			if err != nil {
				return dst[:at], fmt.Errorf("%s/%d: %w", in.Topic, in.Partition, err)
			}
		}
		if b.n == 0 {
			pos = b.end
			if b.memory != nil {
				in.used = append(in.used, b.memory)
			}
			done++
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in.pos = pos
	for _, b := range in.taking[:done] {
		in.waiting -= b.size
		r.bytes -= b.size
	}
	in.taking = slices.Delete(in.taking, 0, done)
	if !in.there() {
		in.pos = in.next
	}
	if done > 0 {
		r.change.Broadcast()
	}
	return dst[:at], nil
}

// Spend says that Release will take back the memory of what has been taken, and not of what is taken from now on.
func (r *Reader) Spend(i int) { r.inputs[i].spent = len(r.inputs[i].used) }

// Release takes back the memory of what was spent.
func (r *Reader) Release(i int) {
	in := r.inputs[i]
	for _, b := range in.used[:in.spent] {
		r.pool.PutDecompressBytes(b)
	}
	in.used, in.spent = slices.Delete(in.used, 0, in.spent), 0
}

func (r *Reader) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.tell()
}

func (r *Reader) tell() {
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// lead finds the leaders of partitions, as often as one is not known, and starts a loop for each.
func (r *Reader) lead() {
	for wait := minRest; ; {
		r.mu.Lock()
		for !r.stale && r.ctx.Err() == nil {
			r.change.Wait()
		}
		r.mu.Unlock()
		if r.ctx.Err() != nil {
			return
		}
		known, err := r.find()
		switch {
		case err != nil && r.ctx.Err() == nil:
			r.fail(err)
			return
		case known:
			wait = minRest
		}
		r.sleep(wait) // leaders that change do so for a while
		wait = min(2*wait, maxRest)
	}
}

func (r *Reader) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.ctx.Done():
	case <-t.C:
	}
}

// find asks for the leaders, and reports whether all are known. Its errors are for good.
func (r *Reader) find() (bool, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, in := range r.inputs {
		if !slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return *t.Topic == in.Topic }) {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = new(in.Topic)
			req.Topics = append(req.Topics, t)
		}
	}
	resp, err := req.RequestWith(r.ctx, r.cl)
	if err != nil {
		return false, nil // asked again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	leaders := map[string]map[int32]int32{}
	for _, t := range resp.Topics {
		if t.Topic == nil || t.ErrorCode != 0 {
			continue
		}
		if id, ok := r.ids[*t.Topic]; ok && id != t.TopicID {
			return false, fmt.Errorf("topic %s was deleted and made again: %w", *t.Topic, kerr.UnknownTopicID)
		}
		r.ids[*t.Topic] = t.TopicID
		leaders[*t.Topic] = map[int32]int32{}
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 || errors.Is(kerr.ErrorForCode(p.ErrorCode), kerr.ReplicaNotAvailable) {
				leaders[*t.Topic][p.Partition] = p.Leader
			}
		}
	}
	r.stale = false
	for _, in := range r.inputs {
		if in.leader >= 0 {
			continue
		}
		leader, ok := leaders[in.Topic][in.Partition]
		if !ok || leader < 0 {
			r.stale = true
			continue
		}
		in.leader = leader
		if !r.nodes[leader] {
			r.nodes[leader] = true
			r.loops.Go(func() { r.loop(leader) })
		}
	}
	r.change.Broadcast()
	return !r.stale, nil
}

// loop fetches what a broker leads.
func (r *Reader) loop(node int32) {
	for turn := 0; r.ctx.Err() == nil; turn++ {
		req, asked := r.request(node, turn)
		if req == nil {
			continue
		}
		resp, err := req.RequestWith(r.ctx, r.cl.Broker(int(node)))
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if r.ctx.Err() != nil {
			return
		}
		if err != nil {
			r.mu.Lock()
			for _, in := range asked {
				r.lost(in)
			}
			r.mu.Unlock()
			continue
		}
		if err := r.answer(resp, asked); err != nil {
			r.fail(err)
			return
		}
	}
}

// request asks for all inputs that a broker leads and that have room, the one first whose turn
// it is: only of the first one a batch comes whole that is too large. It waits until there are some.
func (r *Reader) request(node int32, turn int) (*kmsg.FetchRequest, []*input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var asked []*input
	more := false // what is not asked for and may be soon
	for r.ctx.Err() == nil {
		asked, more = asked[:0], false
		for _, in := range r.inputs {
			switch {
			case in.leader != node || in.held || in.busy || in.given:
			case in.rest, in.waiting > 0 && (in.waiting >= maxBytes || r.bytes >= 2*int(r.config.MaxBytes)):
				more = true
			default:
				asked = append(asked, in)
			}
		}
		if len(asked) > 0 {
			break
		}
		r.change.Wait()
	}
	if len(asked) == 0 {
		return nil, nil
	}
	turn %= len(asked)
	asked = append(slices.Clone(asked[turn:]), asked[:turn]...)
	req := kmsg.NewPtrFetchRequest()
	// Bytes are bounded for each partition, so that one with much to read does not fill the answer. What is
	// asked for beyond the bound is of inputs with nothing waiting, a batch of each.
	most := int(r.config.MaxBytes)
	share := int32(min(max(min(most, 2*most-r.bytes)/len(asked), min(minBytes, most)), maxBytes))
	req.ReplicaID, req.SessionEpoch, req.IsolationLevel, req.MinBytes, req.MaxBytes = -1, -1, 1, 1, math.MaxInt32
	req.MaxWaitMillis = int32(r.config.MaxWait.Milliseconds())
	if more {
		req.MaxWaitMillis = int32(shortWait.Milliseconds())
	}
	for _, in := range asked {
		in.busy, in.asked = true, in.next
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = in.Partition, in.next, max(share, in.need)
		at := slices.IndexFunc(req.Topics, func(t kmsg.FetchRequestTopic) bool { return t.Topic == in.Topic })
		if at < 0 {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = in.Topic, r.ids[in.Topic]
			req.Topics, at = append(req.Topics, t), len(req.Topics)
		}
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, p)
	}
	return req, asked
}

// lost has the leader of an input found again, after a rest.
func (r *Reader) lost(in *input) {
	in.busy, in.leader, r.stale = false, -1, true
	r.pause(in)
	r.change.Broadcast()
}

// pause has an input rest for a while, longer with each failure.
func (r *Reader) pause(in *input) {
	in.rest = true
	wait := min(minRest<<min(in.fails, 6), maxRest)
	in.fails++
	time.AfterFunc(wait, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		in.rest = false
		r.change.Broadcast()
	})
}

// answer takes what a broker gave. Its errors are for good.
func (r *Reader) answer(resp *kmsg.FetchResponse, asked []*input) error {
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			rp := &t.Partitions[i]
			at := slices.IndexFunc(asked, func(in *input) bool {
				return in.busy && in.Partition == rp.Partition && (in.Topic == t.Topic || t.Topic == "" && r.id(in.Topic) == t.TopicID)
			})
			if at < 0 {
				continue
			}
			if err := r.part(asked[at], rp); err != nil {
				return fmt.Errorf("%s/%d: %w", asked[at].Topic, asked[at].Partition, err)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range asked {
		in.busy = false // those of which the answer says nothing
	}
	return nil
}

func (r *Reader) id(topic string) [16]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[topic]
}

func (r *Reader) part(in *input, rp *kmsg.FetchResponseTopicPartition) error {
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		unknown := errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition)
		if !kerr.IsRetriable(err) || unknown && in.fails >= patience {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lost(in)
		return nil
	}
	got, err := parse(rp, in.asked)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in.busy, in.high = false, max(rp.HighWatermark, in.handed)
	if in.next != in.asked { // it was handed on meanwhile
		return nil
	}
	switch {
	case got.need > maxBatch:
		return fmt.Errorf("%w: %d bytes at offset %d", ErrDamaged, got.need, in.next)
	case got.need > 0:
		in.need = max(in.need, int32(got.need))
	case got.next == in.next && len(rp.RecordBatches) > 0:
		r.pause(in) // it should not be
	default:
		in.fails = 0
	}
	in.next = got.next
	for i := range got.batches {
		in.need = max(in.need, int32(got.batches[i].size))
		in.waiting += got.batches[i].size
		r.bytes += got.batches[i].size
	}
	in.ready = append(in.ready, got.batches...)
	switch {
	case len(got.batches) > 0:
		r.tell()
	case !in.there() && in.pos != in.next:
		in.pos, r.moved = in.next, true
		r.tell()
	}
	return nil
}
