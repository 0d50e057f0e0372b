// Package topic says which Kafka topics there are: how they are called, into which partition
// a record goes, and how long and by which time they keep records. It compares the topics that
// a configuration wants with those of a cluster, and makes what is missing. Topics are never
// deleted here, and never get more partitions: keys would move, and with them the order.
package topic
