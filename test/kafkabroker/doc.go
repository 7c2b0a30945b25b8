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
package kafkabroker
