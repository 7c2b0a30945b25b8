// Package kafkabroker runs a real Apache Kafka for tests: one broker or three, of
// a released version, in processes of this test, on loopback.
//
// [Start] gives a test a cluster of its own, [Shared] the one of its test process
// (with [Main] in TestMain), [Run] serves programs. A broker takes three to four
// seconds to start and some 300 MB, so a package's tests share one where they can:
// a topic and a group per test keep them apart.
//
// The jars come from Maven, as the project in dist/ names them, once per machine
// ([Jars]). Where Java or Maven is missing tests skip, or fail if
// FLUSHLINE_REQUIRE_KAFKA is set.
//
// No cluster is handed out before each broker answered with the cluster id that it
// was formatted with, and, on Linux, before its process is seen to hold its ports.
// On Linux a broker dies with the process that started it, however that ends.
//
// # After a kill
//
// A broker that was killed is admitted again only when the session of its former
// self has ended, which is 4s here. Its group coordinator may have loaded before,
// and counts the sessions of members while nobody can reach it: a group whose
// session is shorter than some 6s is emptied by the kill of its only broker.
//
// # Where kfake differs
//
// The fake broker of franz-go serves faults that a real one cannot be talked into.
// What was seen to differ; elsewhere the two agreed:
//
//	                               Apache Kafka                     kfake
//	offset out of range            says -1 for both ends of the log the true ends
//	commit metadata                at most 4096 UTF-16 units        any length
//	first rebalance of a group     group.initial.rebalance.delay.ms at once
//	quotas                         answers say throttled            never
//	rack of a consumer             names a closer replica           ignored
//	compaction                     keeps the log's start            moves it
//	fault on OffsetFetch v0, v1    -                                read as no partitions
package kafkabroker
