package stream_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream"
)

// A job whose group has the offsets of long ago, or none any more, does not write again what it has written.
func TestJob_OffsetsThatKafkaHasLost(t *testing.T) {
	folder, err := objstore.FolderURI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("memory", func(t *testing.T) { testLost(t, &objstore.Memory{}, "mem://state/x") }) // as S3, where a slash in a name is none of a path
	t.Run("folder", func(t *testing.T) { testLost(t, objstore.Folder{}, folder) })
}

func testLost(t *testing.T, store objstore.Store, dir string) {
	t.Helper()
	feeds, seed := market.NewFeeds(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	plan := compileShipped(t, feeds)
	l, want := wantRows(t, r, feeds, plan)
	tl := newTopicLog(t, startBroker(t), l, plan, feeds)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	id := strconv.FormatUint(seed, 36)
	job := func() *stream.Job {
		j := tl.job(id, "0", store, true)
		j.Dir = dir
		return j
	}
	for range 4 { // each ends with a snapshot that is committed
		j := job()
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- j.Run(run) }()
		if tl.log != nil {
			tl.write(ctx, t, r)
			tl.waitRows(ctx, t, want)
		}
		for j.Status().Commits == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		tl.log = nil
	}
	// What nobody points to is deleted when it is old.
	if err := objstore.Put(ctx, store, objstore.Join(dir, "0/0000000000000001-abcd"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	j := job()
	j.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- j.Run(run) }()
	for files(t, store, dir) > 1 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(newClient(t, tl.addr))
	offsets, err := adm.FetchOffsets(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	old := kadm.Offsets{}
	for _, o := range offsets.Sorted() {
		old.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: 0, LeaderEpoch: -1, Metadata: stream.Metadata("0/0000000000000000-ab", 1, 1)})
	}
	lost := func() {
		t.Helper()
		err := job().Run(ctx)
		if f := new(fault.Error); !errors.As(err, &f) || f.Code != "offsets_lost" {
			t.Errorf("it goes on, or ends with: %v", err)
		}
	}
	leave := func() { // it stays in the group as a static member
		t.Helper()
		if _, err := adm.LeaveGroup(ctx, kadm.LeaveGroup(id).InstanceIDs(id+"-0")); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	if err := adm.CommitAllOffsets(ctx, id, old); err != nil {
		t.Fatal(err)
	}
	lost()
	leave()
	deleted, err := adm.DeleteGroups(ctx, id)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	lost()
}

// files counts what is in a folder of a store.
func files(t *testing.T, store objstore.Store, dir string) (n int) {
	t.Helper()
	for _, err := range store.List(t.Context(), dir+"/") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
