package features_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
)

// rolling30 is 30 rolling features at each trade: three aggregates over ten lengths.
func rolling30() string {
	var b strings.Builder
	b.WriteString("view: rolling30\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nfeatures:\n")
	for i, w := range []string{"1s", "2s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m"} {
		fmt.Fprintf(&b, "  sum_%d: sum(quantity) over %s\n  mean_%d: mean(price) over %s\n  high_%d: max(price) over %s\n", i, w, i, w, i, w)
	}
	return b.String()
}

func BenchmarkRolling30_Sorted(b *testing.B) {
	benchViews(b, []features.Source{{Name: "rolling30.yaml", Text: []byte(rolling30())}}, 1, false)
}

func BenchmarkRolling30_Mixed500(b *testing.B) {
	benchViews(b, []features.Source{{Name: "rolling30.yaml", Text: []byte(rolling30())}}, 500, true)
}
