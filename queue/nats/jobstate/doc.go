// Package jobstate keeps jobs in a NATS key-value bucket:
//
//	JOB.manifest             the attempt whose pieces count, a newline, the manifest
//	JOB.piece.ATTEMPT.i      a piece of the plan
//	JOB.shard.i              who holds the shard, a newline, its checkpoint
//
// # Leases
//
// A shard's holder writes its value again each third of the lease, with the revision
// that it knows, so the value of a holder that lives changes. Who wants the shard of
// another watches for one lease: if the value has not changed the holder is dead,
// and the value is replaced at the revision that was seen. So there is one holder
// at any time as far as the bucket is concerned, whatever the clocks say, and one
// that was taken for dead cannot save any more.
//
// A holder that cannot reach the server keeps its lease until the server says that
// somebody else has it: an outage ends no job. What it delivers meanwhile is bounded
// by what it may hand out beyond its last checkpoint, which the next holder delivers
// once more.
//
// Values are read from the leader of the bucket's stream, never from a replica that
// may be behind.
//
// The user needs the rights to publish to $KV.BUCKET.> and to these subjects of the
// JetStream API: INFO; STREAM.INFO, STREAM.MSG.GET and STREAM.PURGE of the stream
// KV_BUCKET; STREAM.CREATE where the bucket is missing; CONSUMER.CREATE to list jobs.
package jobstate
