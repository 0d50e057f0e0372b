package lang

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// unit is what a number counts, as powers of quote money, base units and µs. A price is
// quote/base, so price * quantity is quote and notional / volume a price again. A plain
// number has no unit.
type unit struct {
	quote, base, time int
	own               string // of user-defined kinds: names with their powers, "celsius^1 m^-2", sorted
}

func (u unit) times(v unit, sign int) unit {
	return unit{u.quote + sign*v.quote, u.base + sign*v.base, u.time + sign*v.time, timesOwn(u.own, v.own, sign)}
}

// ownPowers splits the names of a unit from their powers.
func ownPowers(own string) map[string]int {
	powers := map[string]int{}
	for w := range strings.FieldsSeq(own) {
		name, power, _ := strings.Cut(w, "^")
		powers[name], _ = strconv.Atoi(power) // written by joinOwn
	}
	return powers
}

func joinOwn(powers map[string]int) string {
	var words []string
	for _, name := range sortedKeys(powers) {
		if powers[name] != 0 {
			words = append(words, name+"^"+strconv.Itoa(powers[name]))
		}
	}
	return strings.Join(words, " ")
}

func timesOwn(a, b string, sign int) string {
	if b == "" {
		return a
	}
	powers := ownPowers(a)
	for name, p := range ownPowers(b) {
		powers[name] += sign * p
	}
	return joinOwn(powers)
}

// root halves the powers; false when one is odd.
func (u unit) root() (unit, bool) {
	powers := ownPowers(u.own)
	even := u.quote%2 == 0 && u.base%2 == 0 && u.time%2 == 0
	for name, p := range powers {
		even = even && p%2 == 0
		powers[name] = p / 2
	}
	return unit{u.quote / 2, u.base / 2, u.time / 2, joinOwn(powers)}, even
}

// String prints quote, base, quote/base, quote^2*base …; a plain number is "".
func (u unit) String() string {
	var up, down []string
	type factor struct {
		name  string
		power int
	}
	factors := []factor{{"quote", u.quote}, {"base", u.base}, {"us", u.time}}
	own := ownPowers(u.own)
	for _, name := range sortedKeys(own) {
		factors = append(factors, factor{name, own[name]})
	}
	for _, f := range factors {
		power := f.power
		list := &up
		if power < 0 {
			power, list = -power, &down
		}
		switch {
		case power == 1:
			*list = append(*list, f.name)
		case power > 1:
			*list = append(*list, fmt.Sprintf("%s^%d", f.name, power))
		}
	}
	s := strings.Join(up, "*")
	if len(down) == 0 {
		return s
	}
	if s == "" {
		s = "1"
	}
	return s + "/" + strings.Join(down, "/")
}

// parseUnit reads what String prints.
func parseUnit(s string) unit {
	u, _ := readUnit(s)
	return u
}

// readUnit reads names with powers, * between them and / before those that divide.
func readUnit(s string) (u unit, ok bool) {
	own := map[string]int{}
	ok = true
	sign, rest := 1, s
	for rest != "" {
		end := strings.IndexAny(rest, "*/")
		word, next := rest, 1
		if end >= 0 {
			word = rest[:end]
			if rest[end] == '/' {
				next = -1
			}
			rest = rest[end+1:]
		} else {
			rest = ""
		}
		name, power, raised := strings.Cut(word, "^")
		n := 1
		if raised {
			v, err := strconv.Atoi(power)
			ok = ok && err == nil && v >= 1 && v <= maxPower
			n = v
		}
		switch name {
		case "quote":
			u.quote += sign * n
		case "base":
			u.base += sign * n
		case "us":
			u.time += sign * n
		case "1":
			ok = ok && sign == 1 && !raised && rest != ""
		default:
			ok = ok && isIdent(name)
			own[name] += sign * n
		}
		sign = next
	}
	u.own = joinOwn(own)
	return u, ok && s != "" && !strings.HasSuffix(s, "*") && !strings.HasSuffix(s, "/")
}

// maxPower bounds the powers in the unit of a column.
const maxPower = 9

// fieldType is the type of a column of a kind. The schema calls the unit of prices and of
// amounts of money "quote"; only amounts are called notional.
func fieldType(f market.Field) Type {
	t := Type{Nullable: f.Nullable}
	switch f.Type {
	case market.TypeDec:
		t.Kind = TDec
	case market.TypeInt:
		t.Kind = TInt
	case market.TypeTime:
		t.Kind = TTime
	case market.TypeDur:
		t.Kind = TDur
	case market.TypeEnum:
		t.Kind, t.Words = TEnum, f.Words
	case market.TypeBool:
		t.Kind = TBool
	case market.TypeText:
		t.Kind = TText
		if f.Name == "id" {
			t.Kind = TID
		}
	case market.TypeDecs:
		t.Kind = TList
	case market.TypeFloat:
		t.Kind = TFloat
	}
	switch {
	case f.Unit == "base":
		t.Unit = unit{base: 1}.String()
	case f.Unit == "quote" && strings.HasSuffix(f.Name, "notional"):
		t.Unit = unit{quote: 1}.String()
	case f.Unit == "quote":
		t.Unit = unit{quote: 1, base: -1}.String()
	}
	return t
}

// venueWords are the words of the column market, by code.
var venueWords = []string{"", "spot", "perp", "future", "option", "index"}

// envelope is what every event carries besides its payload.
var envelope = []Column{
	{Name: "ts", Type: Type{Kind: TTime}},
	{Name: "ingest_ts", Type: Type{Kind: TTime, Nullable: true}},
	{Name: "exchange", Type: Type{Kind: TText}},
	{Name: "market", Type: Type{Kind: TEnum, Words: venueWords}},
	{Name: "symbol", Type: Type{Kind: TText}},
	{Name: "base", Type: Type{Kind: TText}},
	{Name: "quote", Type: Type{Kind: TText}},
}

// envelopeTail are the envelope columns that specs rarely use; lists of names show them last.
var envelopeTail = []Column{
	{Name: "event_ts", Type: Type{Kind: TTime}},
	{Name: "feed", Type: Type{Kind: TText}},
	{Name: "seq", Type: Type{Kind: TInt}},
}

// entityColumns are the columns that by may name when rows come from events.
var entityColumns = []string{"exchange", "market", "symbol", "base", "quote", "feed"}
