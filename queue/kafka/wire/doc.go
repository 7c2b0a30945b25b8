// Package wire holds the requests that flushline sends to Kafka brokers: their
// formats at one pinned version each, and a Client that carries them over
// kafka-go's Transport to exactly the broker named. It routes nothing, caches
// nothing and retries nothing: its callers decide which broker is asked and what
// an error means.
//
// The formats are those of the Apache Kafka protocol guide at the versions that
// brokers from 2.4 to 4.x speak.
package wire
