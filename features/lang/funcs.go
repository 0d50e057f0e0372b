package lang

import (
	"fmt"
	"sort"
	"strings"
)

// class says where a function may stand.
type class uint8

const (
	aggregate class = iota + 1 // rows of a window or frame → one value
	scan                       // rows so far → a value for each row
	cross                      // members of a latest window → a value for each
	rowFunc                    // values → value
)

// signature is how a function is called: its arguments by name, in order, the first least
// of which must be given. An ellipsis as the last name takes any number.
type signature struct {
	class class
	least int
	names []string
	built bool // this version can run it
}

func sig(c class, built bool, least int, names ...string) signature {
	return signature{class: c, least: least, names: names, built: built}
}

var functions = map[string]signature{
	"count":     sig(aggregate, true, 0, "x"),
	"sum":       sig(aggregate, true, 1, "x"),
	"min":       sig(aggregate, true, 1, "x"),
	"max":       sig(aggregate, true, 1, "x"),
	"first":     sig(aggregate, true, 1, "x"),
	"last":      sig(aggregate, true, 1, "x"),
	"mean":      sig(aggregate, true, 1, "x"),
	"var":       sig(aggregate, true, 1, "x", "ddof"),
	"std":       sig(aggregate, true, 1, "x", "ddof"),
	"time_mean": sig(aggregate, true, 1, "x"),
	"distinct":  sig(aggregate, true, 1, "x"),
	"quantile":  sig(aggregate, true, 2, "x", "p", "approx"),
	"skew":      sig(aggregate, true, 1, "x"),
	"kurt":      sig(aggregate, true, 1, "x"),
	"median":    sig(aggregate, true, 1, "x"),
	"argmin":    sig(aggregate, true, 1, "x", "value"),
	"argmax":    sig(aggregate, true, 1, "x", "value"),
	"wmedian":   sig(aggregate, true, 2, "x", "weight"),
	"slope":     sig(aggregate, true, 2, "y", "x"),
	"corr":      sig(aggregate, true, 2, "x", "y"),
	"cov":       sig(aggregate, true, 2, "x", "y", "ddof"),
	"any":       sig(aggregate, true, 1, "x"),
	"all":       sig(aggregate, true, 1, "x"),
	"hy":        sig(aggregate, true, 2, "x", "y"),
	"lead":      sig(aggregate, true, 4, "x", "y", "max", "step"),
	"list":      sig(aggregate, false, 1, "x", "n"),

	"prev":      sig(scan, true, 1, "x", "n", "within"),
	"cum":       sig(scan, true, 1, "x"),
	"ema":       sig(scan, true, 2, "x", "n"),
	"wilder":    sig(scan, true, 2, "x", "n"),
	"ewm":       sig(scan, true, 2, "x", "halflife"),
	"decay_sum": sig(scan, true, 2, "x", "halflife"),
	"since":     sig(scan, true, 1, "x", "within"),
	"rsi":       sig(scan, true, 2, "x", "n"),
	"macd":      sig(scan, true, 3, "x", "fast", "slow"),
	"bollinger": sig(scan, true, 4, "x", "n", "k", "within"),
	"atr":       sig(scan, true, 1, "n"),

	"rank":     sig(cross, true, 1, "x"),
	"pct_rank": sig(cross, true, 1, "x"),
	"zscore":   sig(cross, true, 1, "x"),
	"share":    sig(cross, true, 1, "x"),

	"abs":      sig(rowFunc, true, 1, "x"),
	"sign":     sig(rowFunc, true, 1, "x"),
	"min_of":   sig(rowFunc, true, 2, "a", "b", "…"),
	"max_of":   sig(rowFunc, true, 2, "a", "b", "…"),
	"clamp":    sig(rowFunc, true, 3, "x", "low", "high"),
	"round":    sig(rowFunc, true, 1, "x", "digits"),
	"floor":    sig(rowFunc, true, 1, "x"),
	"sqrt":     sig(rowFunc, true, 1, "x"),
	"ln":       sig(rowFunc, true, 1, "x"),
	"exp":      sig(rowFunc, true, 1, "x"),
	"if":       sig(rowFunc, true, 3, "condition", "then", "else"),
	"coalesce": sig(rowFunc, true, 2, "a", "b", "…"),
	"decimal":  sig(rowFunc, true, 2, "x", "digits"),
}

// elsewhere has what other languages call our functions.
var elsewhere = map[string]string{
	"avg": "mean", "average": "mean", "stddev": "std", "stdev": "std", "variance": "var", "log": "ln",
	"lag": "prev", "least": "min_of", "greatest": "max_of", "ifnull": "coalesce", "nvl": "coalesce",
	"iff": "if", "iif": "if", "cast": "decimal", "open": "first", "close": "last", "percentile": "quantile",
	"arg_min": "argmin", "arg_max": "argmax", "bool_or": "any", "bool_and": "all", "nunique": "distinct", "covar": "cov", "covariance": "cov", "correlation": "corr", "kurtosis": "kurt", "skewness": "skew", "beta": "slope", "count_distinct": "distinct", "twap": "time_mean", "pow": "x * x",
	"vwap": "sum(price * quantity) / sum(quantity)", "maximum": "max", "minimum": "min", "total": "sum", "len": "count",
}

// otherWords has what other sources call our columns, the likeliest last.
var otherWords = map[string][]string{
	"qty": {"quantity"}, "size": {"quantity"}, "amount": {"quantity"}, "volume": {"quantity"}, "vol": {"volume", "quantity"},
	"px": {"price"}, "rate": {"price"}, "time": {"ts"}, "timestamp": {"ts"}, "date": {"ts"}, "pair": {"symbol"}, "instrument": {"symbol"},
	"ticker": {"symbol"}, "venue": {"exchange"}, "bid": {"bid_price"}, "ask": {"ask_price"}, "trade_id": {"id"}, "taker_side": {"side"},
	"bid_size": {"bid_quantity"}, "ask_size": {"ask_quantity"}, "bid_qty": {"bid_quantity"}, "ask_qty": {"ask_quantity"},
}

func functionNames(only class, built bool) []string {
	var names []string
	for name, s := range functions {
		if (only == 0 || s.class == only) && (s.built || !built) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// usage prints how a function is called.
func (s signature) usage(name string) string {
	args := append([]string(nil), s.names...)
	for i := range args {
		if i >= s.least && args[i] != "…" {
			args[i] = "[" + args[i] + "]"
		}
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// bind puts the arguments of a call into the order of the signature; absent ones are nil.
// what says what is wrong.
func (s signature) bind(e *Expr) (args []*Expr, what string) {
	names := s.names
	variadic := len(names) > 0 && names[len(names)-1] == "…"
	if variadic {
		names = names[:len(names)-1]
	}
	if len(e.Args) > len(names) && !variadic {
		return nil, fmt.Sprintf("%s has %d arguments", e.Text, len(e.Args))
	}
	args = append(args, e.Args...)
	for len(args) < len(names) {
		args = append(args, nil)
	}
	for _, key := range sortedKeys(e.Keys) {
		i := indexOf(names, key)
		switch {
		case i < 0:
			return nil, fmt.Sprintf("%s has no argument %q", e.Text, key)
		case args[i] != nil:
			return nil, fmt.Sprintf("%s has its argument %q twice", e.Text, key)
		}
		args[i] = e.Keys[key]
	}
	for i := range s.least {
		if args[i] == nil {
			return nil, fmt.Sprintf("%s has no argument %q", e.Text, names[i])
		}
	}
	return args, ""
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return -1
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
