// Package queue says what a queue has to promise to the worker, in the words
// of docs/DESIGN.md: a [Source] hands out strands, a [Strand] hands out
// deliveries, a [Delivery] is one message plus the duty to settle it exactly
// once, and a [Sink] stores messages durably.
//
// # Delivery semantics
//
// At least once. A message is acknowledged only by [Delivery.Ack]; nothing else
// moves a cursor. Release gives a message back and is legal only after the
// strand's context ended.
//
// # Who waits for whom
//
// A source asks its [Host] for bytes before it asks its broker for messages, so
// the memory of the process is bounded before anything is received. The worker
// calls [Strand.Fetch] when it wants messages; not calling it is the pause.
//
// The package knows nothing of payloads: it never imports protocol.
package queue
