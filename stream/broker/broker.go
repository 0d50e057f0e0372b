// Package broker is a Kafka broker and a schema registry inside this process, for trial
// and for tests: one node on the loopback address, its topics in a folder. It is franz-go's
// kfake, made safe against what was found wrong with it: see repair and settings. It does
// not force data to disk, so a power cut may lose the newest, and killed in the middle of
// a transaction it may show records of an aborted one, or part of a commit
// (docs/design/0005-stream.md); use a real Kafka for what must not be lost.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
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
	registry *registry
	lock     *os.File
	failed   atomic.Bool // something could not be written: the next start repairs
	closed   atomic.Bool
	warn     func(text string)
}

// The files of a data folder: kafka/ and schemas.jsonl hold what is kept, dirty is there
// while a broker runs, and after one that did not end by Close.
const (
	kafkaDir   = "kafka"
	schemaFile = "schemas.jsonl"
	dirtyFile  = "dirty"
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
	b := &Broker{dir: dir, warn: opt.Warn}
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
			Remedy: "use that one, or another --data"}
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
				Remedy: "start on a new --data folder and play the input again; this one holds the records still"}
		}
	}
	if b.kafka, err = b.open(opt.Port); err != nil {
		return portFault("broker", "--port", opt.Port, err)
	}
	b.addr = b.kafka.ListenAddrs()[0]
	if b.registry, err = openRegistry(filepath.Join(b.dir, schemaFile), opt.RegistryPort, b.warn); err != nil {
		b.kafka.Close()
		return portFault("schema registry", "--registry-port", opt.RegistryPort, err)
	}
	return nil
}

// portFault words why a server did not start.
func portFault(what, flag string, port int, err error) error {
	f := &fault.Error{Code: "broker_start", Message: "cannot start the " + what, Why: err.Error(), Exit: fault.ExitFailed, Cause: err}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		f.Where = fmt.Sprintf("127.0.0.1:%d", port)
		f.Remedy = "another program may have the port: give another " + flag + ", or 0 for a free one"
	}
	return f
}

// open loads the topics and listens; port 0 is a free one.
func (b *Broker) open(port int) (*kfake.Cluster, error) {
	return kfake.NewCluster(kfake.Ports(port), kfake.DataDir(filepath.Join(b.dir, kafkaDir)), kfake.ClusterID("tidemark-embedded"),
		kfake.BrokerConfigs(settings), kfake.DefaultNumPartitions(1), kfake.WithLogger(logger{b}))
}

// logger passes on what kfake complains about. It reports a failed write only there.
type logger struct{ b *Broker }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelError {
		return
	}
	l.b.failed.Store(true)
	l.b.warn("broker: " + fmt.Sprintf(format, args...))
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
	if b.failed.Load() {
		err = errors.Join(err, errors.New("broker: some data could not be written; the next start repairs the folder"))
	}
	if err == nil {
		if err = os.Remove(filepath.Join(b.dir, dirtyFile)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, b.lock.Close())
}

// repairTimeout bounds a repair: some milliseconds, and the reading of all logs.
const repairTimeout = 5 * time.Minute

// repair ends the transactions that a crash left open. On loading, kfake aborts them in
// memory without a marker in the log: later committed records of the producer would be
// invisible, and aborted ones would come back after the next crash. So the folder is
// opened at a port that nobody knows, an abort marker of every transactional producer is
// written to every partition, and the folder is closed properly. Markers leave holes in
// the offsets, as they do in any Kafka.
func (b *Broker) repair() error {
	if _, err := os.Stat(filepath.Join(b.dir, kafkaDir, "meta.json")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c, err := b.open(0)
	if err != nil {
		return err
	}
	err = abortAll(c.ListenAddrs()[0])
	c.Close()
	if b.failed.Load() {
		err = errors.Join(err, errors.New("some data could not be written"))
	}
	return err
}

func abortAll(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), repairTimeout)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	txns, err := adm.DescribeTransactions(ctx)
	if err != nil {
		return err
	}
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	if len(txns) == 0 || len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	for _, txn := range txns.Sorted() {
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch = txn.ProducerID, txn.ProducerEpoch
		for _, t := range topics.Sorted() {
			mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			mt.Topic, mt.Partitions = t.Topic, t.Partitions.Numbers()
			m.Topics = append(m.Topics, mt)
		}
		req.Markers = append(req.Markers, m)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, m := range resp.Markers {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("end transactions of %s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	}
	return nil
}
