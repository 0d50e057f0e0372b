package record

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/parity"
)

// ErrRegistry is why a record cannot be judged for now: the registry does not answer. The
// record itself may be good.
var ErrRegistry = errors.New("schema registry does not answer")

// ErrSchema is why a record cannot be read: the number of its schema is none of ours.
var ErrSchema = errors.New("schema is not known")

// What is in a record with a schema: an event of a kind, a row of a view's version, or what
// a transaction adds to the ledger.
type What struct {
	Name    string      // full name of the message
	Kind    market.Kind // KindNone for rows and ledgers
	View    string      // "" for events and ledgers
	Version int
}

// Schemas has the numbers of messages by their names. It is safe for concurrent use.
type Schemas struct {
	client *sr.Client // nil without a registry
	kinds  *market.Kinds

	mu    sync.Mutex
	known atomic.Pointer[[]known] // replaced as a whole
}

type known struct {
	id   uint32
	what What
	err  error // the registry says that there is none
}

// NewSchemas uses the registry at a URL, or none with "", like NewSchemasOf.
func NewSchemas(registryURL string, kinds *market.Kinds) (*Schemas, error) {
	if registryURL == "" {
		return NewSchemasOf(nil, kinds), nil
	}
	client, err := sr.NewClient(sr.URLs(registryURL))
	if err != nil {
		return nil, fmt.Errorf("schema registry %s: %w", registryURL, err)
	}
	return NewSchemasOf(client, kinds), nil
}

// NewSchemasOf uses a registry, where messages get the subject of their full name, or none with
// nil: then the number of a message is a hash of its name, and of views only what this process
// has named can be read. kinds are those whose events may be met, nil for the release's.
func NewSchemasOf(client *sr.Client, kinds *market.Kinds) *Schemas {
	s := &Schemas{client: client, kinds: kinds}
	s.known.Store(new([]known))
	if client == nil {
		for k := market.KindTrade; k < market.NumKinds; k++ {
			if s.hasKind(k) {
				s.add(hashID(s.EventName(k)), What{Name: s.EventName(k), Kind: k}, nil)
			}
		}
	}
	return s
}

// Registered reports whether numbers are a registry's.
func (s *Schemas) Registered() bool { return s.client != nil }

func (s *Schemas) hasKind(k market.Kind) bool {
	return k > market.KindNone && k <= market.KindWatermark || s.kinds.Definition(k) != nil
}

// EventName is the full name of the message of a kind.
func (s *Schemas) EventName(k market.Kind) string {
	return eventPackage(s.kinds, k) + "." + eventMessage(s.kinds, k)
}

// ViewName is the full name of the message of a view's version.
func ViewName(view string, version int) string { return viewPackage(view, version) + ".Row" }

// hashID is the number of a message without a registry: positive, as registries have them.
func hashID(name string) uint32 { return uint32(xxh3.HashString(name))>>1 | 1 }

// Event is the number of the messages of a kind, registered when first asked for.
func (s *Schemas) Event(ctx context.Context, k market.Kind) (uint32, error) {
	if !s.hasKind(k) {
		return 0, fmt.Errorf("schema of %s: no such kind", k)
	}
	return s.register(ctx, What{Name: s.EventName(k), Kind: k}, func() string { return ProtoOfKind(s.kinds, k) })
}

// View is the number of the rows of a view, registered when first asked for.
func (s *Schemas) View(ctx context.Context, out *features.Output) (uint32, error) {
	what := What{Name: ViewName(out.Name, out.Version), View: out.Name, Version: out.Version}
	return s.register(ctx, what, func() string { return ProtoOfView(out) })
}

// LedgerName is the full name of the message of parity.Delta.
const LedgerName = "tidemark.v1.Ledger"

// Ledger is the number of the records of ledgers, registered when first asked for.
func (s *Schemas) Ledger(ctx context.Context) (uint32, error) {
	return s.register(ctx, What{Name: LedgerName}, func() string { return parity.DeltaProto })
}

func (s *Schemas) register(ctx context.Context, what What, text func() string) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range *s.known.Load() {
		if k.what.Name == what.Name {
			return k.id, nil
		}
	}
	id := hashID(what.Name)
	if s.client != nil {
		level := sr.SetCompatibility{Level: sr.CompatBackwardTransitive}
		for _, r := range s.client.SetCompatibility(ctx, level, what.Name) {
			if r.Err != nil {
				return 0, registryError(what.Name, r.Err)
			}
		}
		got, err := s.client.CreateSchema(ctx, what.Name, sr.Schema{Schema: text(), Type: sr.TypeProtobuf})
		if err != nil {
			return 0, registryError(what.Name, err)
		}
		id = uint32(got.ID)
	}
	for _, k := range *s.known.Load() {
		if k.id == id && k.err == nil {
			return 0, fmt.Errorf("schemas of %s and %s have the same number %d: use a registry", k.what.Name, what.Name, id)
		}
	}
	s.add(id, what, nil)
	return id, nil
}

// registryError tells a registry that refuses from one that does not answer.
func registryError(name string, err error) error {
	var re *sr.ResponseError
	if errors.As(err, &re) && re.StatusCode < http.StatusInternalServerError {
		return fmt.Errorf("register schema %s: %w", name, err)
	}
	return fmt.Errorf("register schema %s: %w: %w", name, ErrRegistry, err)
}

// add replaces the list; the caller holds mu, but in NewSchemasOf.
func (s *Schemas) add(id uint32, what What, err error) {
	old := *s.known.Load()
	list := make([]known, 0, len(old)+1)
	for _, k := range old {
		if k.id != id {
			list = append(list, k)
		}
	}
	list = append(list, known{id, what, err})
	s.known.Store(&list)
}

// maxUnknown bounds the numbers that are remembered as nobody's.
const maxUnknown = 4096

// Lookup tells what records with a schema are: ErrSchema when nothing of ours, ErrRegistry when
// it cannot be found out now.
func (s *Schemas) Lookup(ctx context.Context, id uint32) (What, error) {
	if k := s.find(id); k != nil {
		return k.what, k.err
	}
	unknown := fmt.Errorf("schema %d: %w", id, ErrSchema)
	if s.client == nil {
		return What{}, unknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.find(id); k != nil {
		return k.what, k.err
	}
	text, err := s.client.SchemaByID(ctx, int(id)) // every registry has it; the subjects of a number not
	var re *sr.ResponseError
	switch {
	case err == nil:
		if what, ok := s.parse(messageOf(text)); ok {
			s.add(id, what, nil)
			return what, nil
		}
	case !errors.As(err, &re) || re.StatusCode != http.StatusNotFound:
		return What{}, fmt.Errorf("look up schema %d: %w: %w", id, ErrRegistry, err)
	}
	if len(*s.known.Load()) < maxUnknown {
		s.add(id, What{}, unknown)
	}
	return What{}, unknown
}

func (s *Schemas) find(id uint32) *known {
	list := *s.known.Load()
	for i := range list {
		if list[i].id == id {
			return &list[i]
		}
	}
	return nil
}

var (
	packageLine = regexp.MustCompile(`(?m)^package ([\w.]+);`)
	messageLine = regexp.MustCompile(`(?m)^message (\w+) \{`)
)

// messageOf is the full name of the first message of a schema, which is what records are; "" when
// it is not written as ours are.
func messageOf(s sr.Schema) string {
	in, name := packageLine.FindStringSubmatch(s.Schema), messageLine.FindStringSubmatch(s.Schema)
	if s.Type != sr.TypeProtobuf || in == nil || name == nil {
		return ""
	}
	return in[1] + "." + name[1]
}

// parse reads the full name of a message.
func (s *Schemas) parse(name string) (What, bool) {
	for k := market.KindTrade; k < market.NumKinds; k++ {
		if s.hasKind(k) && s.EventName(k) == name {
			return What{Name: name, Kind: k}, true
		}
	}
	if name == LedgerName {
		return What{Name: name}, true
	}
	rest, ok := strings.CutPrefix(name, viewRoot+".")
	view, version, cut := strings.Cut(rest, ".v")
	version, row := strings.CutSuffix(version, ".Row")
	n, err := strconv.Atoi(version)
	if !ok || !cut || !row || err != nil {
		return What{}, false
	}
	return What{Name: name, View: view, Version: n}, true
}
