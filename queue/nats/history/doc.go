// Package history reads ranges of JetStream streams beside the consumers that are
// alive: it plans a range as slices of a job, and opens them.
//
// Each slice is read through a consumer of its own, which acknowledges nothing, is
// kept in memory and is deleted when the slice is closed; the server removes it if
// that never happens. What is delivered carries the number of the delivery, so a
// hole is seen and read again, whatever made it.
//
// The user needs the rights to publish to these subjects of the JetStream API:
// STREAM.INFO, STREAM.MSG.GET, CONSUMER.CREATE, CONSUMER.DELETE and
// CONSUMER.MSG.NEXT of the stream; CONSUMER.INFO of the durable consumer for
// committed bounds and [Lag].
//
// # What expired
//
// Positions without a message that lie below the first sequence of the stream when
// we come by are counted as expired. With a subject filter some of them may have
// been other people's: the count is an upper bound then.
package history
