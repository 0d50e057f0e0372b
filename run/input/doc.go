// Package input reads event files of any supported format: it finds, opens and
// decompresses them, detects their format, decodes their records and merges several
// files by time, so that memory stays flat and the watermarks of all files advance
// together. Bad records are handed on with their place; they never end a read.
package input
