package plan

import (
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
)

// bookBase is the index of the first column that the engine works out from the book: they
// stand behind the payload.
func bookBase() int { return len(market.Schema(market.KindBook)) }

// bookColumn is the index of a column of the book, which the view's list gets.
func (l *lowering) bookColumn(c lang.BookColumn) int {
	i := slices.Index(l.v.Book, c)
	if i < 0 {
		i = len(l.v.Book)
		l.v.Book = append(l.v.Book, c)
	}
	return bookBase() + i
}

func (l *lowering) bookInput(c lang.Column) Input {
	return Input{Ref: Ref{Source: Payload, Index: l.bookColumn(*c.Book), Name: c.Name}, Kind: op.KExact, Type: market.TypeDec, Book: true}
}

// shareBooks makes one list of the book columns of all views, so that each is worked out
// once for an event, and points the views to it.
func (p *Plan) shareBooks() {
	base := bookBase()
	for _, v := range p.Views {
		if v.Parent >= 0 || v.Kind != market.KindBook {
			continue
		}
		at := make([]int, len(v.Book))
		for i, c := range v.Book {
			if at[i] = slices.Index(p.Book, c); at[i] < 0 {
				at[i] = len(p.Book)
				p.Book = append(p.Book, c)
			}
		}
		move := func(i *int) {
			if *i >= base {
				*i = base + at[*i-base]
			}
		}
		for i := range v.Inputs {
			if v.Inputs[i].Book {
				move(&v.Inputs[i].Ref.Index)
			}
		}
		for i := range v.Args {
			switch f := &v.Args[i].Fast; f.Kind {
			case Column:
				move(&f.A)
			case Product:
				move(&f.A)
				move(&f.B)
			}
		}
	}
}
