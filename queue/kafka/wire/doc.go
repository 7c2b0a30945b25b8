// Package wire holds the requests that flushline sends to Kafka brokers: their
// formats at one pinned version each, and a Client that carries them over
// kafka-go's Transport to exactly the broker named. It routes nothing and retries
// nothing: its callers decide which broker is asked and what an error means. Of
// what brokers answer it keeps their addresses, to have somebody to ask for
// metadata.
//
// The formats are those of the Apache Kafka protocol guide at the versions that
// brokers from 2.4 to 4.x speak.
//
// # Errors
//
// A call fails with an *[Error] that names what was to be done, the broker, and the
// cause: the broker's code as a kafka.Error, or how far the connection came. What
// follows from it say [IsTransport], [IsCoordinatorMoved], [IsLeaderMoved] and
// [IsPermanent]; what to do about it says [Advice].
//
// # What brokers send is not believed
//
// An answer is read as it arrives, whatever length it announces; its correlation
// id is checked; no count in it makes anybody allocate more than its bytes could
// hold; what it leaves out has failed.
package wire
