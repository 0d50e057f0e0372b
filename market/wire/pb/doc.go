// Package pb is generated from proto/tidemark/v1 by scripts/gen-proto.sh: the events as
// messages, for programs that read or write single events. Batches go through package
// wire, which writes and reads the same bytes without them.
package pb
