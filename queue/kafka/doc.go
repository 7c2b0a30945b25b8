// Package kafka consumes Kafka topics as a member of a consumer group and stores
// messages in topics.
//
// A [Source] joins the group (package group), reads each leader broker with one
// request for all of its partitions that want messages, and serves every
// partition it is given as a strand of its own. What a message goes through:
//
//	leader   one loop per broker: takes bytes from the budget, fetches, shares out
//	strand   what arrived for one partition waits here until Fetch asks for it
//	record   a delivery; its Ack is one atomic operation on the strand's watermark
//	cursor   commits the watermark now and then, and at the end of a lease what
//	         has ended above it
//
// # Positions
//
// A strand begins at its group's committed offset. Without one it begins where
// Config.Start says if the partition was there when the source started, else at
// the earliest message. What lies between where it wanted to read and where it
// could is never passed silently: it is counted as passed over, by reason.
//
// # Losing a partition
//
// A lease is one partition under one assignment. A revoked one drains, commits
// and goes; a lost one ends at once, and nothing of it is committed any more.
//
// # Parked records
//
// [Parked] keeps the records of blocked lanes in companion topics and serves them as a
// source of its own, in sweeps. The goroutine of a sweep is the only one that decides;
// what the worker settles and which gates open reaches it as events.
//
// # Why requests of our own
//
// The kafka-go library carries the bytes; what is asked and what follows from an
// answer is decided here and in packages wire, record and group. Its own readers
// do not fence commits, hide control records and stop a whole group for one slow
// member.
package kafka
