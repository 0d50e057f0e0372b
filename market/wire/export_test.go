package wire

// The two ways of Decode, each alone.
var (
	Quick = (*Decoder).quick
	Slow  = (*Decoder).slow
)
