//go:build unix

package broker_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A process with this variable cannot write files beyond so many bytes: as on a full disk,
// a write does a part of what it should, then fails.
const fileLimit = "TIDEMARK_TEST_FILE_LIMIT"

func init() {
	n, err := strconv.ParseUint(os.Getenv(fileLimit), 10, 64)
	if err != nil {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
}

// commitUntilItFails counts the transactions that were committed.
func commitUntilItFails(ctx context.Context, cl *kgo.Client) (n int) {
	for ; n < 100; n++ {
		var rs []*kgo.Record
		for part := range int32(2) {
			rs = append(rs, &kgo.Record{Topic: "t", Partition: part, Value: fmt.Appendf(nil, "%d %*s", n, 200+5*part, "")})
		}
		if cl.BeginTransaction() != nil || cl.ProduceSync(ctx, rs...).FirstErr() != nil || cl.EndTransaction(ctx, kgo.TryCommit) != nil {
			return n
		}
	}
	return n
}

// What was committed before the disk was full is there when it has room again, and the
// transaction that met the end is there wholly or not at all.
func TestBroker_DiskFull(t *testing.T) {
	for _, limit := range []int{2980, 3000, 3140} { // it hits markers, the log of producers, both
		t.Setenv(fileLimit, strconv.Itoa(limit))
		dir := t.TempDir()
		p := spawn(t, dir)
		createTopic(t, p.addr, "t", 2, nil)
		cl := client(t, p.addr, kgo.TransactionalID("one"))
		go func() { // what is on its way waits for its broker for ever otherwise
			<-p.gone
			cl.Close()
		}()
		n := commitUntilItFails(t.Context(), cl)
		if n == 0 || n == 100 {
			t.Fatalf("limit %d: %d transactions", limit, n)
		}
		<-p.gone
		t.Setenv(fileLimit, "")
		p = spawn(t, dir)
		got := map[string]int{}
		for _, v := range committed(t, p.addr, []string{"t"}) {
			number, _, _ := strings.Cut(v, " ")
			got[number]++
		}
		for i := range n {
			if got[strconv.Itoa(i)] != 2 {
				t.Errorf("limit %d: transaction %d of %d: %d of 2 records", limit, i, n, got[strconv.Itoa(i)])
			}
		}
		if k := got[strconv.Itoa(n)]; k == 1 || len(got) > n+1 {
			t.Errorf("limit %d: the last transaction: %d of 2 records; %v", limit, k, got)
		}
		t.Logf("limit %d: %d transactions, the last %d of 2", limit, n, got[strconv.Itoa(n)])
		p.kill()
	}
}
