package sink

// IgnoreOffsets takes away that offsets are in the tables: every session reads from the beginning.
func (s *Sink) IgnoreOffsets() { s.ignoreOffsets = true }
