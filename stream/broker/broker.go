// Package broker is a Kafka broker and a schema registry inside this process, for trial
// and for tests: one node on the loopback address, its topics in a folder. It is franz-go's
// kfake, made safe against what was found wrong with it (see journal, repair and settings):
// killed at any moment it has all that was committed, and of nothing a part. It does not
// force data to disk, so a power cut may lose the newest; use a real Kafka for what must
// not be lost.
package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pinova-group/tidemark/internal/fault"
)

// Options of a broker. The zero value takes free ports.
type Options struct {
	Port         int               // of Kafka; 0: a free one
	RegistryPort int               // of the schema registry; 0: a free one
	Warn         func(text string) // is told of what goes wrong inside; nil: nobody
}

// Broker is a running broker. All of its methods may be called from any goroutine.
type Broker struct {
	dir      string
	addr     string
	kafka    *kfake.Cluster
	journal  *journal
	registry *registry
	lock     *os.File
	failed   chan struct{} // closed when something could not be written: nothing is done any more, the next start repairs
	failing  sync.Once
	closed   atomic.Bool
	turn     int // of who comes first in an answer
	warn     func(text string)
}

// The files of a data folder: kafka/ and schemas.jsonl hold what is kept, commit.json the
// transaction that is being committed, and dirty is there while a broker runs, and after
// one that did not end by Close.
const (
	kafkaDir    = "kafka"
	schemaFile  = "schemas.jsonl"
	journalFile = "commit.json"
	dirtyFile   = "dirty"
)

// settings keep kfake from losing records. Its cleaner would apply the default retention
// of 7 days to every topic as soon as one names its own, by record time, which is event
// time here: history that is played would be gone. And its compaction lets a record of a
// transaction that is still open delete a committed one. So the cleaner sleeps for a
// hundred years: topics of this broker only grow.
var settings = map[string]string{
	"log.cleaner.backoff.ms":    "3155760000000",
	"log.retention.ms":          "-1",
	"offsets.retention.minutes": "52596000",
	"message.max.bytes":         "16777216",
}

// Start runs a broker on a data folder, which is made when missing. A folder that is in
// use by another broker is refused; one that was left by a crash is repaired first.
func Start(dir string, opt Options) (*Broker, error) {
	b := &Broker{dir: dir, warn: opt.Warn, failed: make(chan struct{})}
	if b.warn == nil {
		b.warn = func(string) {}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, &fault.Error{Code: "broker_data", Message: "cannot make the broker's data folder", Where: dir, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	dirty := filepath.Join(dir, dirtyFile)
	_, err := os.Stat(dirty)
	crashed := err == nil
	if b.lock, err = os.OpenFile(dirty, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, &fault.Error{Code: "broker_data", Message: "cannot write to the broker's data folder", Where: dir, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	if err := lockFile(b.lock); err != nil {
		_ = b.lock.Close()
		return nil, &fault.Error{Code: "broker_held", Message: "another broker runs on this data folder", Where: dir, Why: err.Error(), Exit: fault.ExitHeld, Cause: err,
			Remedy: "use that one, or another folder: --dir"}
	}
	if err := b.start(opt, crashed); err != nil {
		_ = b.lock.Close() // dirty stays
		return nil, err
	}
	return b, nil
}

func (b *Broker) start(opt Options, crashed bool) (err error) {
	if crashed {
		if err := b.repair(); err != nil {
			return &fault.Error{Code: "broker_repair", Message: "cannot repair the broker's data after a crash", Where: b.dir, Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
				Remedy: "start on a new folder (--dir) and play the input again; this one holds the records still"}
		}
	}
	if b.journal, err = openJournal(filepath.Join(b.dir, journalFile)); err != nil {
		return err
	}
	if b.kafka, err = b.open(opt.Port); err != nil {
		return errors.Join(portFault("broker", "--listen", opt.Port, err), b.journal.close())
	}
	b.addr = b.kafka.ListenAddrs()[0]
	b.kafka.Control(b.control)
	if b.registry, err = openRegistry(filepath.Join(b.dir, schemaFile), opt.RegistryPort, b.warn); err != nil {
		b.kafka.Close()
		_ = b.journal.close()
		return portFault("schema registry", "--registry-listen", opt.RegistryPort, err)
	}
	return nil
}

// portFault words why a server did not start.
func portFault(what, flag string, port int, err error) error {
	f := &fault.Error{Code: "broker_start", Message: "cannot start the " + what, Why: err.Error(), Exit: fault.ExitFailed, Cause: err}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		f.Where = fmt.Sprintf("127.0.0.1:%d", port)
		f.Remedy = "another program may have the port: give another " + flag + ", or port 0 for a free one"
	}
	return f
}

// open loads the topics and listens; port 0 is a free one.
func (b *Broker) open(port int) (*kfake.Cluster, error) {
	return kfake.NewCluster(kfake.Ports(port), kfake.DataDir(filepath.Join(b.dir, kafkaDir)), kfake.ClusterID("tidemark-embedded"),
		kfake.BrokerConfigs(settings), kfake.DefaultNumPartitions(1), kfake.WithLogger(logger{b}))
}

// leastFull is how many bytes clients are given, at least, if there are as many: less than they refuse.
const leastFull = 64 << 20

// bound has an answer of records never be full as a whole. kfake leaves out the aborted transactions of the partition at which it
// is, and readers take their records for committed. So the partitions share what an answer may hold. A batch that
// is larger than a share comes of the first one alone; so there are no sessions, and with each request another is the first.
func (b *Broker) bound(f *kmsg.FetchRequest) {
	n := int32(0)
	for i := range f.Topics {
		n += int32(len(f.Topics[i].Partitions))
	}
	if n == 0 {
		return
	}
	if f.SessionEpoch == 0 {
		f.SessionEpoch = -1
	}
	share := max(f.MaxBytes, leastFull) / n
	f.MaxBytes = math.MaxInt32
	b.turn++
	f.Topics = rotated(f.Topics, b.turn)
	first := &f.Topics[0]
	first.Partitions = rotated(first.Partitions, b.turn/len(f.Topics))
	for i := range f.Topics {
		for j := range f.Topics[i].Partitions {
			p := &f.Topics[i].Partitions[j]
			p.PartitionMaxBytes = min(p.PartitionMaxBytes, share)
		}
	}
}

func rotated[T any](s []T, by int) []T {
	by %= len(s)
	return append(s[by:len(s):len(s)], s[:by]...)
}

// control sees each request before kfake does. After a failed write nothing is done any
// more: kfake would go on, and what it holds in memory is not what is on disk.
func (b *Broker) control(req kmsg.Request) (kmsg.Response, error, bool) {
	b.kafka.KeepControl()
	if f, ok := req.(*kmsg.FetchRequest); ok {
		b.bound(f)
	}
	if !b.hasFailed() {
		if err := b.journal.observe(req); err != nil {
			b.fail("write the commit: " + err.Error())
		}
	}
	if b.hasFailed() {
		return nil, errors.New("the broker cannot write to its folder"), true
	}
	return nil, nil, false
}

func (b *Broker) fail(text string) {
	b.failing.Do(func() {
		close(b.failed)
		b.warn("broker: it cannot write to " + b.dir + " and serves nobody any more; make room and start it again")
	})
	b.warn("broker: " + text)
}

// Failed is closed when the broker could not write and serves nobody any more: close it.
func (b *Broker) Failed() <-chan struct{} { return b.failed }

func (b *Broker) hasFailed() bool {
	select {
	case <-b.failed:
		return true
	default:
		return false
	}
}

// logger passes on what kfake complains about. It tells of a failed write only there.
type logger struct{ b *Broker }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch {
	case level <= kfake.LogLevelWarn && (strings.Contains(format, "persist") || strings.HasPrefix(format, "save ")):
		l.b.fail(fmt.Sprintf(format, args...))
	case level <= kfake.LogLevelError:
		l.b.warn("broker: " + fmt.Sprintf(format, args...))
	}
}

// Addr is host:port of the broker.
func (b *Broker) Addr() string { return b.addr }

// RegistryURL is the URL of the schema registry.
func (b *Broker) RegistryURL() string { return b.registry.url }

// Close ends the broker and writes down what a restart needs. Transactions that are open
// stay open for their producers to end. Closing twice is closing once.
func (b *Broker) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	err := b.registry.close()
	b.kafka.Close()
	err = errors.Join(err, b.journal.close())
	if b.hasFailed() {
		err = errors.Join(err, errors.New("broker: some data could not be written; the next start repairs the folder"))
	}
	if err == nil {
		if err = os.Remove(filepath.Join(b.dir, dirtyFile)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, b.lock.Close())
}
