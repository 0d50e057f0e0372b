package lang_test

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

// Each expression stands as feature x in line 7, from column 6 on, of a tumbling view.
func TestProblems_OfOneExpression(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		// tokens
		{`sum(quantity) + 1e6`, `7:22: number "1e6" has an exponent (want the digits written out: literals are exact decimals)`},
		{`sum(quantity) + 1_000`, `7:22: found "1_000" (want a number without _)`},
		{`sum(quantity) + 0x10`, `7:22: found "0x10" (want a decimal number)`},
		{`sum(quantity) + .5`, `7:22: found ".5" (want 0.5)`},
		{`sum(quantity) + 5.`, `7:22: found "5." (want digits after the point, or no point)`},
		{`sum(quantity) + 007`, `7:22: number "007" begins with 0 (want decimal digits without a leading zero)`},
		{`window_end - 1.5s`, `7:19: duration "1.5s" has a fraction (want a whole number of a smaller unit, such as 1500ms)`},
		{`window_end - 5q`, `7:19: unknown unit "q" in "5q" (want us ms s m h d w, or bps)`},
		{`count(where side == buy && price > 5)`, `7:30: found "&&" (want and)`},
		{`count(where side == buy || price > 5)`, `7:30: found "||" (want or)`},
		{`count(where side <> buy)`, `7:23: found "<>" (want !=)`},
		{`count() ? 1 ; 2`, `7:14: found "?" (want if(condition, then, else))`},
		{`sum(quantity ^ 2)`, `7:19: found "^" (want a product such as x * x)`},
		{`sum($)`, `7:10: found "$" without a name (want $name of a parameter)`},
		{`count(where symbol == 'BTC)`, `7:28: string without an end (want a closing ')`},
		{`sum(quantity) + ü`, `7:22: found "ü" (want a name, a number, a string or an operator)`},
		// grammar
		{`sum(quantity`, `7:18: found "end of expression" (want ")")`},
		{`sum(quantity))`, `7:19: found ")" (want an operator or the end of the expression)`},
		{`sum(quantity,)`, `7:19: found ")" (want an argument after the comma)`},
		{`sum quantity`, `7:10: found "quantity" (want an operator or the end of the expression)`},
		{`count() +`, `7:15: found "end of expression" (want a value)`},
		{`a < b < c`, `7:12: comparisons do not chain (want a < b and b < c)`},
		{`a == b is null`, `7:13: comparisons do not chain (want a < b and b < c)`},
		{`count(where price is 5)`, `7:27: found "5" (want null or not null after is, or ==)`},
		{`count(where side in (buy))`, `7:26: a list of one (want two or more values in the list, or ==)`},
		{`count(where side in buy)`, `7:26: found "buy" (want a list (a, b) or $param after in)`},
		{`count(where a == not b)`, `7:23: found "not" (want parentheses around not, as in a == (not b))`},
		{`count(where side = buy)`, `7:23: found "=" (want == to compare)`},
		{`sum(price = 5)`, ``}, // a named argument; see below
		{`quantile(quantity, p=0.5, p=0.6, approx=0.1)`, `7:32: argument "p" given twice (want it once)`},
		{`quantile(p=0.5, quantity, approx=0.01)`, `7:22: an argument without a name after one with a name (want positions first, then name=value)`},
		{`sum(quantity) over 5`, `7:26: found "end of expression" (want "rows", or a duration with its unit, such as 5m)`},
		{`sum(quantity) over 5m rows`, `7:25: found "5m" (want a number before rows)`},
		{`sum(quantity) over 5 rows within 3`, `7:39: found "3" (want a duration after within)`},
		{`sum(quantity) over x`, `7:25: found "x" (want a duration such as 5m, or rows such as 20 rows within 1h)`},
		{`book.5`, `7:10: found ".5" (want 0.5)`},
		{`book.(5)`, `7:11: found "(" (want a name after the point)`},
		{`over`, `7:6: found "over" (want a value)`},
		// names
		{`price`, `7:6: column "price" outside an aggregate (want first(…), last(…), sum(…) …)`},
		{`sum(prise)`, `7:10: unknown name "prise" (want price; known are ts ingest_ts exchange market symbol base quote price quantity …)`},
		{`sum(quantity where kind == market_order)`, `7:25: unknown name "kind" (want ts ingest_ts exchange market symbol base quote price quantity …)`},
		{`sum(quantity where side == long)`, `7:33: unknown word "long" (want unknown buy sell)`},
		{`sum(quantity where side == byu)`, `7:33: unknown word "byu" (want buy; known are unknown buy sell)`},
		{`sum(quantity where side == 'buy')`, `7:33: 'buy' is text, the other side an enum (want the word without quotes: unknown buy sell)`},
		{`sum(quantity where base == BTC)`, `7:33: unknown name "BTC" (want 'BTC' for text)`},
		{`summ(quantity)`, `7:6: unknown function "summ" (want sum; known are abs all any argmax argmin atr bollinger clamp coalesce …)`},
		{`avg(quantity)`, `7:6: unknown function "avg" (want mean)`},
		{`count`, `7:6: function "count" without parentheses (want count([x]))`},
		{`x`, `7:6: definitions need each other: x → x (want no cycle)`},
		{`last(y.price)`, `7:11: unknown alias "y" (want a name without a point)`},
		{`last(book.mid)`, `7:11: book.mid in a view that does not read the book (want from: book)`},
		// words and signs of other languages
		{`last(price) = 5`, `7:18: found "=" (want == to compare)`},
		{`count(side = buy)`, `7:6: count has no argument "side" (want count([x]), with a condition as in count(… where side == buy))`},
		{`sum(quantity, side == buy)`, `7:6: sum has 2 arguments (want sum(x), with a condition as in sum(quantity where side == buy))`},
		{`sum(quantity) where side == buy`, `7:20: found "where" (want where inside the parentheses of an aggregate, as in sum(x where x > 5))`},
		{`count(where price => 5)`, `7:24: found "=>" (want >=)`},
		{`sum(quantity, ddof=>1)`, `7:24: found "=>" (want >=)`},
		{`last(price) - prev(price)`, `7:20: prev among the features: it goes by rows (want it in let or inside an aggregate)`},
		{`count(*)`, `7:12: found "*" (want count() for the number of rows, or a value)`},
		{`count() > 1,000`, `7:17: found "," (want an operator or the end of the expression; numbers have no commas)`},
		{`sum(if side == buy then quantity else 0)`, `7:13: found "side" (want if(condition, then, else))`},
		{`last(price) if count() > 0 else 0`, `7:18: found "if" (want if(condition, then, else))`},
		{`count(where !(side == buy))`, `7:18: found "!" (want not)`},
		{`count(where side == BUY)`, `7:26: unknown word "BUY" (want buy; known are unknown buy sell)`},
		{`MAX(price)`, `7:6: unknown function "MAX" (want max; known are abs all any argmax argmin atr bollinger clamp coalesce …)`},
		{`count(where symbol == BTC-USDT)`, `7:28: BTC - USDT is no text (want 'BTC-USDT' for text)`},
		{`count(where symbol in (BTC-USDT-250328, 'ETH-USDT'))`, `7:29: BTC - USDT - 250328 is no text (want 'BTC-USDT-250328' for text)`},
		{`sum(size)`, `7:10: unknown name "size" (want quantity)`},
		{`last(Timestamp)`, `7:11: unknown name "Timestamp" (want ts)`},
		{`vwap(price, quantity)`, `7:6: unknown function "vwap" (want sum(price * quantity) / sum(quantity))`},
		{`lag(price)`, `7:6: unknown function "lag" (want prev)`},
		// calls
		{`sum()`, `7:6: sum has no argument "x" (want sum(x))`},
		{`sum(price, quantity)`, `7:6: sum has 2 arguments (want sum(x))`},
		{`sum(x=price, y=quantity)`, `7:6: sum has no argument "y" (want sum(x))`},
		{`var(price, ddof=price)`, `7:22: name "price" in ddof (want parameters and literals only)`},
		{`var(price, ddof=-1)`, `7:22: ddof is -1 (want a whole number from 0 to 100)`},
		{`quantile(price, 1.5, approx=0.01)`, `7:22: p is 1.5 (want a number from 0 to 1)`},
		{`quantile(price, 0.5, approx=0)`, `7:34: approx is 0 (want a relative error from 0.000001 to 0.5)`},
		{`abs(last(price) where side == buy)`, `7:28: where inside "abs" (want where inside an aggregate)`},
		{`abs(last(price)) over 5m`, `7:28: over after "abs" (want over after an aggregate)`},
		{`sum(quantity where quantity)`, `7:25: quantity is a decimal in base, not a condition (want a comparison)`},
		{`sum(sum(quantity))`, `7:10: aggregate "sum" inside "sum" (want one aggregate over the rows, or a view over this view)`},
		{`sum(quantity) over 5m`, `7:25: over inside a tumbling window (want it without over: the window says which rows)`},
		{`rank(quantity)`, `7:6: rank outside a latest window (want window: {latest: symbol, every: 1m, max_age: 10m, emit: members})`},
		{`list(price)`, `7:6: aggregate list is not supported by this version (supported: all any argmax argmin corr count cov distinct first hy kurt last lead max mean median min quantile skew slope std sum time_mean var wmedian)`},
		{`sum(ema(price, 5))`, `7:10: ema without a reset would remember every row for ever (want reset: 1d)`},
		{`sum(cum(quantity))`, `7:10: cum without a reset would add up without bound (want reset: 1d)`},
		{`sum(prev(price, 0))`, `7:22: n is 0 (want a whole number from 1 to 1000)`},
		{`sum(prev(price, 1, 5))`, `7:25: within is a whole number (want a duration such as 5m)`},
		{`sum(prev(price, within=0s))`, `7:29: within is 0us (want more than 0)`},
		{`last(prev(symbol))`, `7:11: prev of text is not supported by this version (supported: numbers, times, conditions, enums)`},
		{`last(since(price))`, `7:17: price is a decimal in quote/base, not a condition (want a comparison)`},
		{`last(prev(count()))`, `7:16: aggregate "count" inside "last" (want one aggregate over the rows, or a view over this view)`},
		{`sum(prev(price) where prev(side) == buy, 5)`, `7:45: found "," (want ")"; numbers have no commas)`},
		{`last(atr(5))`, `7:11: atr without columns high, low, close (want from: a view of bars, or let: with these names)`},
		{`last(rsi(price, 5))`, `7:11: rsi without a reset would remember every row for ever (want reset: 1d)`},
		{`last(exp(price))`, `7:11: exp of a decimal in quote/base (want a plain number)`},
		{`1 + decimal(last(price), 2)`, `7:10: decimal inside an expression (want decimal(x, digits) around a whole feature)`},
		{`decimal(last(price), 39)`, `7:27: digits is 39 (want a whole number from 0 to 38)`},
		{`decimal(last(side), 2)`, `7:14: decimal of an enum (want a number)`},
		// types and units
		{`sum(price + quantity)`, `7:10: quote/base plus base (want the same unit on both sides)`},
		{`sum(price * quantity) - sum(quantity)`, `7:6: quote minus base (want the same unit on both sides)`},
		{`count(where price > quantity)`, `7:18: quote/base compared with base (want the same unit on both sides)`},
		{`count(where price > count)`, `7:26: function "count" without parentheses (want count([x]))`},
		{`count(where base > 5)`, `7:18: text compared with a whole number (want values of one type)`},
		{`count(where side > buy)`, `7:18: an enum has no order (want == or !=)`},
		{`count(where price == null)`, `7:18: a comparison with null is null (want price is null)`},
		{`count(where not price)`, `7:22: not of a decimal in quote/base (want a condition after not)`},
		{`count(where side == buy and price)`, `7:34: price is a decimal in quote/base (want a condition on both sides of and)`},
		{`last(ts) + last(ts)`, `7:6: a time + a time (want numbers, or times and durations that go together)`},
		{`last(ts) + 5`, `7:6: a time + a whole number (want numbers, or times and durations that go together)`},
		{`window_end * 2`, `7:6: a time * a whole number (want numbers, or times and durations that go together)`},
		{`-last(side)`, `7:7: minus of an enum (want a number or duration after -)`},
		{`sum(side)`, `7:10: sum of an enum (want a number)`},
		{`max(symbol)`, `7:10: max of text is not supported by this version (supported: numbers, times, durations)`},
		{`max(side)`, `7:10: max of an enum (want a number, time or duration)`},
		{`sum(price / quantity)`, `7:10: sum of a ratio in quote/base^2 is not exact (want the division after the sum, or a decimal: round(price / quantity, 12))`},
		{`mean(sqrt(quantity))`, `7:11: mean of a float is not exact (want the exact terms, or a decimal: round(x, 12))`},
		{`quantile(price / 3, 0.5, approx=0.1)`, `7:15: quantile of a ratio in quote/base (want a decimal: round(x, 12))`},
		{`distinct(price / 3)`, `7:15: distinct of a ratio in quote/base (want a column)`},
		{`ln(last(price))`, `7:6: ln of a decimal in quote/base (want a ratio, such as ln(close / open))`},
		{`if(count(), 1, 2)`, `7:9: count() is a whole number, not a condition (want a comparison)`},
		{`if(count() > 1, last(price), last(ts))`, `7:6: if of a decimal in quote/base and a time (want values of one type and unit)`},
		{`max_of(last(price), last(quantity))`, `7:6: max_of of a decimal in quote/base and a decimal in base (want values of one type and unit)`},
		{`last(price) / 0`, `7:20: division by zero (want a divisor other than 0)`},
		{`null`, `7:6: feature "x" is always null (want a value of some type)`},
		{`last(price) + 0.1000000000000000000001`, `7:20: number "0.1000000000000000000001" has more than 18 digits after the point (want a decimal of at most 18 digits)`},
		{`last(price) + 9223372036854775808`, `7:20: number "9223372036854775808" does not fit 63 bits (want a decimal of at most 18 digits)`},
		{`window_end - 99999999999999999999w`, `7:19: duration 99999999999999999999w is too long (want less than 292 thousand years)`},
		{`(1, 2)`, `7:6: a list outside in (want x in (a, b))`},
		{`count(where side in $l)`, `7:26: unknown parameter $l (want params: with l: {type: …, default: …})`},
		{`count(where price in (1, 'a'))`, `7:31: 'a' in a list beside a decimal in quote/base (want constants of the type of the left side)`},
	} {
		got := strings.ReplaceAll(problems(lang.CheckOptions{}, tumble("x: "+c.expr)).Error(), "a.yaml:", "")
		if c.expr == `sum(price = 5)` {
			c.want = `7:6: sum has no argument "price" (want sum(x), with a condition as in sum(… where price == 5))`
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.expr, got, c.want)
		}
	}
}

// Lists are refused where they stand, whatever is done with them, and are not proposed.
func TestProblems_OfLists(t *testing.T) {
	const want = ` "bid_price" is a list, which is not supported by this version (supported: columns of one value; from: quote has the best prices)`
	for expr, col := range map[string]string{
		"count(bid_price)": "7:12", "count(where bid_price is null)": "7:18", "last(bid_price)": "7:11", "distinct(bid_price)": "7:15",
		"count(where bid_price in (1, 2))": "7:18", "count(where depth in (1, 2) and bid_price == 1)": "7:38", "sum(depth + bid_price)": "7:18", "last(if(origin == delta, bid_price, 1))": "7:31",
	} {
		text := strings.Replace(tumble("x: "+expr), "from: trade", "from: book", 1)
		got := strings.ReplaceAll(problems(lang.CheckOptions{}, text).Error(), "a.yaml:", "")
		if got != col+": column"+want {
			t.Errorf("%s\n got %s\nwant %s: column%s", expr, got, col, want)
		}
	}
	rows := "view: v\nversion: 1\nfrom: book\nby: [symbol]\nlet:\n  l: bid_price\nwhere: ask_price is null\nfeatures:\n  x: bid_price\n  y: bid_pricee\n  z: bid_price[0]\n"
	got := problems(lang.CheckOptions{}, rows).Error()
	for _, w := range []string{`6:6: column "bid_price"`, `7:8: column "ask_price"`, `9:6: column "bid_price"`, `10:6: unknown name "bid_pricee"`, `11:6: lists are not supported`} {
		if !strings.Contains(got, w) {
			t.Errorf("%s is missing in\n%s", w, got)
		}
	}
	if strings.Contains(got, "want bid_price") {
		t.Errorf("a list is proposed:\n%s", got)
	}
}
