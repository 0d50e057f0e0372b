// Package sink puts what is in processed, late, feature and alert topics into the tables of a lake, each
// record once. How far a topic is read stands in the table, in the commit that has its rows, and
// nowhere else: a process that died is followed by one that reads on from there. docs/stream.md
// has the steps of a commit and what a crash at each of them leaves.
package sink
