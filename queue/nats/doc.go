// Package nats reads and writes NATS JetStream.
//
// # Reading
//
// A [Source] is one or several durable pull consumers, each shared by all pods
// of a deployment and each one strand. Messages are asked for by own pull
// requests on one inbox subscription, never more than the Host granted bytes
// for. What is held is kept ours by in-progress marks, whatever the flushers do.
//
// # Acknowledgements
//
// The server matches an acknowledgement by stream sequence alone: sent to a
// stream or consumer that was made anew, it removes a message nobody has
// flushed. So nothing is acknowledged, marked or given back before the
// incarnation of stream and consumer was confirmed on the connection at hand,
// and it is confirmed again each second while anything is held. Between such a
// check and the news of a recreation an acknowledgement may still hit the new
// consumer: at most one second, and in practice the time an advisory needs.
//
// A message that comes again while it is held, or within two ack waits of its
// acknowledgement, is settled below Fetch. An operator who resets the consumer to
// flush such messages again has to wait that long, or use a replay.
//
// # Parked records
//
// A [Parked] is the companion where records wait whose lane is blocked: a work queue
// stream with a subject, and while it is served a durable, for each lane. [ParkedLanes],
// [DropParked] and [MoveParked] are for operators.
//
// # What is not noticed
//
// Messages that expired before they were delivered are counted exactly for a
// consumer without filter, and as an upper bound for one with a filter: the
// server does not say which of the missing sequences the filter would have
// passed.
package nats
