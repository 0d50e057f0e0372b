package features_test

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/features"
)

// BenchmarkBarThresholds is volume bars of one size and of a hundred sizes in one plan. An
// op is a batch of 4096 trades.
func BenchmarkBarThresholds(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var src []features.Source
			for i := range n {
				src = append(src, features.Source{Name: fmt.Sprint(i), Text: fmt.Appendf(nil, `view: bars_%d
version: 1
from: trade
by: [exchange, market, symbol]
window: {bar: sum(quantity), size: %d, cut: whole, reset: 1d}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  trades: count()
  bought: sum(quantity where side == buy)
`, i, 50*(i+1))})
			}
			benchViews(b, src, 1, false)
		})
	}
}
