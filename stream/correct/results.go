package correct

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// results keeps the first error of records.
type results struct {
	mu    sync.Mutex
	first error
}

func (r *results) done(_ *kgo.Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = err
	}
}

func (r *results) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}
