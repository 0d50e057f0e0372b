// Package canon reads and writes canonical files: events of every kind as CSV with a
// header or as JSON lines, with the columns that docs/formats.md lists. Reading is an
// adapter like a venue's, so drivers treat such files like any other input.
//
// It promises that what Writer wrote is read without loss and written again byte by
// byte the same, and that a bad line is refused with its reason and harms no other line.
package canon
