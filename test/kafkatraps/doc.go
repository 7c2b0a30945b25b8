// Package kafkatraps pins what Apache Kafka and the kafka-go library do that
// decided how queue/kafka is built: each test shows one behaviour that would lose
// or repeat data, or hide an error, in a program that relied on it. It has tests
// only, all against one real broker.
//
// A test that fails after an upgrade says that the behaviour has changed: read
// what queue/kafka does because of it before changing either.
package kafkatraps
