package adapters

// answer decodes a REST answer {retCode, result: {category, list}}.
func (d *bybit) answer(code, result []byte) bool {
	if string(code) != "0" {
		return d.drop("error answer")
	}
	var f [4][]byte
	if !pick(result, f[:], "category", "list", "u", "timeSecond") {
		return false
	}
	switch {
	case f[2] != nil:
		return d.drop("depth over REST")
	case f[3] != nil:
		return d.drop("service answer")
	case f[1] == nil:
		return d.fail(badUnknown, result)
	}
	if line := bybitURL("category=" + string(unquoted(f[0]))); line != bybitUnknown {
		d.line = line
	}
	if d.line == bybitOption {
		return d.drop("options")
	}
	return elements(f[1], d.item)
}

// item decodes one element of a list by its fields.
func (d *bybit) item(v []byte) bool {
	if d.rows >= maxRows {
		return d.fail(badManyRows, nil)
	}
	if v[0] == '[' {
		return d.drop("candles over REST: no interval in the answer")
	}
	var f [5][]byte
	if !pick(v, f[:], "priceFilter", "fundingRateTimestamp", "execId", "lastPrice", "openInterest") {
		return false
	}
	switch {
	case f[0] != nil:
		return d.instrument(v)
	case f[1] != nil:
		return d.settled(v)
	case f[2] != nil:
		return d.recent(v)
	case f[3] != nil || f[4] != nil:
		return d.drop("statistics")
	}
	return d.fail(badUnknown, v)
}

func (d *bybit) settled(v []byte) bool {
	var f [3][]byte
	if !pick(v, f[:], "symbol", "fundingRate", "fundingRateTimestamp") {
		return false
	}
	symbol, ok := jsonText(f[0])
	if !ok {
		return d.fail(badField, v)
	}
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	rate, ok := jsonDec(f[1])
	if !ok {
		return d.fail(badNumber, v)
	}
	ts, ok := jsonMilli(f[2])
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	d.appendSettled(l, rate, ts)
	return true
}

// instrument decodes one element of instruments-info. Contracts are sized in base
// coin on linear, in US dollars on inverse.
func (d *bybit) instrument(v []byte) bool {
	var f [8][]byte
	if !pick(v, f[:], "symbol", "status", "baseCoin", "quoteCoin", "priceFilter", "lotSizeFilter", "launchTime", "deliveryTime") {
		return false
	}
	symbol, ok := jsonText(f[0])
	base, ok1 := jsonText(f[2])
	quote, ok2 := jsonText(f[3])
	if !ok || !ok1 || !ok2 {
		return d.fail(badField, v)
	}
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	r := listing{base: string(base), quote: string(quote), listed: nullInt, delisted: nullInt}
	var tick [1][]byte
	var lot [2][]byte
	if !pick(f[4], tick[:], "tickSize") || !pick(f[5], lot[:], "qtyStep", "basePrecision") {
		return d.fail(badField, v)
	}
	if lot[0] == nil {
		lot[0] = lot[1]
	}
	r.tick, r.hasTick, ok1 = jsonDecOr(tick[0])
	r.lot, r.hasLot, ok2 = jsonDecOr(lot[0])
	if !ok1 || !ok2 {
		return d.fail(badNumber, v)
	}
	if d.on == bybitInverse {
		r.inverse, r.hasSize, r.size.M = true, true, 1
	}
	switch string(unquoted(f[1])) {
	case "Trading":
		r.state = listingTrading
	case "Closed":
		r.state = listingDelisted
	default:
		r.state = listingHalted
	}
	if t, ok := jsonMilli(f[6]); ok {
		r.listed = t
	}
	if t, ok := jsonMilli(f[7]); ok {
		r.delisted = t
	}
	d.appendListing(l, &r)
	return true
}
