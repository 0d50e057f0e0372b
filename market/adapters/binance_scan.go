package adapters

// flat holds the members of a socket message by their one-letter names: Binance names
// nearly everything so, and tells "u" from "U". Values stay where they are in the text;
// only book levels are read at once.
type flat struct {
	b    []byte
	seen [2]uint64
	at   [128]int32 // where the value begins
	long bool       // has members with longer names, skipped
	book *bookRow
	why  string
}

// Places of the two-letter names that matter, where no letter is.
const (
	keyPU = 1 // last update id of the message before
	keyAP = 2 // average price
)

func (f *flat) has(k byte) bool { return f.seen[k>>6&1]>>(k&63)&1 == 1 }

// read scans one object into f; levels of members "b" and "a" that are lists go to
// f.book. It reports false on whatever needs the general path.
func (f *flat) read(b []byte) bool {
	f.b, f.seen, f.long, f.why = b, [2]uint64{}, false, ""
	f.book.bids.reset()
	f.book.asks.reset()
	s := scan{b: b}
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return s.end()
	}
	for {
		k, ok := f.name(&s)
		if !ok {
			return false
		}
		c := s.peek()
		if k != 0 {
			if f.has(k) {
				return false
			}
			f.seen[k>>6&1] |= 1 << (k & 63)
			f.at[k] = int32(s.i)
		}
		switch {
		case c == '"':
			ok = s.plainString()
		case c == '[' && k == 'b':
			ok = s.levels(&f.book.bids, maxLevels)
		case c == '[' && k == 'a':
			ok = s.levels(&f.book.asks, maxLevels)
		default:
			ok = s.skip(16)
		}
		if !ok {
			f.why = s.why
			return false
		}
		if s.i < len(b) && b[s.i] == ',' {
			s.i++
			continue
		}
		if again, ok := s.more('}'); !again {
			return ok && s.end()
		}
	}
}

// name reads a member's name and its colon; 0 for one that does not matter.
func (f *flat) name(s *scan) (byte, bool) {
	if b, i := s.b, s.i; i+3 < len(b) && b[i] == '"' && b[i+2] == '"' && b[i+3] == ':' {
		if k := b[i+1]; isLetter(k) {
			s.i += 4
			return k, true
		}
	}
	k, ok := s.key()
	if !ok {
		return 0, false
	}
	switch {
	case len(k) == 1 && isLetter(k[0]):
		return k[0], true
	case string(k) == "pu":
		return keyPU, true
	case string(k) == "ap":
		return keyAP, true
	case len(k) > 2:
		f.long = true
	}
	return 0, true
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }

// plainString walks over a string of ASCII without escapes.
func (s *scan) plainString() bool {
	_, ok := s.str()
	return ok
}

// value returns a scanner at the value of k; it fails to read anything when k is absent.
func (f *flat) value(k byte) scan {
	if !f.has(k) {
		return scan{}
	}
	return scan{b: f.b, i: int(f.at[k])}
}
