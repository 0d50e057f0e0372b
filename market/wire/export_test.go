package wire

// Slow is Decode of any message.
var Slow = (*Decoder).slow
