package lang_test

import (
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

const messy = `# Bars of my own.
# Second line.

version:   2   
# the name
view: mine

features:   # what comes out
    open:   first( price )   # the first
    # the last, in time order

    close: (last(price))

    vwap: >-
      sum(price*quantity)
      /sum( quantity )
    # end of features
from:  'trade'
by: [exchange,   # venue
     symbol]


params:
  n:
    type: int
    # the default
    default: 5
window: { carry: 5s, tumbling: 1m }  # a minute
let: {a: price * (quantity), b: 'a + 1'}
doc: |
  One.

    Two # no comment.
tests:
  one:
    doc:   "as it is"
    # kept
    input: |
      kind,  side # no comment

      trade,buy
    rows: |
        open
# the end
`

const tidy = `# Bars of my own.
# Second line.

# the name
view: mine
version: 2
doc: |
  One.

    Two # no comment.
from: trade
by: [exchange, symbol]  # venue

params:
  # the default
  n: {type: int, default: 5}
let:
  a: price * quantity
  b: a + 1
window: {tumbling: 1m, carry: 5s}  # a minute

features:  # what comes out
  open: first(price)  # the first
  # the last, in time order

  close: last(price)

  vwap: sum(price * quantity) / sum(quantity)
  # end of features
tests:
  one:
    doc:   "as it is"
    # kept
    input: |
      kind,  side # no comment

      trade,buy
    rows: |
        open
# the end
`

func TestFormat(t *testing.T) {
	got, ps := lang.Format("a.yaml", []byte(messy))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	if string(got) != tidy {
		t.Errorf("got\n%s\nwant\n%s", got, tidy)
	}
	fixedPoint(t, "a.yaml", got)
	if out, ps := lang.Format("a.yaml", []byte(tumble("x: sum("))); out != nil || len(ps) != 1 {
		t.Errorf("formatted in spite of %v: %s", ps, out)
	}
	if got, _ := lang.Format("a.yaml", []byte("version: 1\r\nview: v\r\nfrom: trade\r\nby: [symbol]\r\nfeatures: {x: price}\r\n")); string(got) != "view: v\nversion: 1\nfrom: trade\nby: [symbol]\nfeatures:\n  x: price\n" {
		t.Errorf("line ends: %q", got)
	}
}
