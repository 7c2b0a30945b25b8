// Package producer stores records in Kafka topics for all lanes of a process that
// write to one cluster in one way.
//
// # One request for many lanes
//
// Each leader is asked one thing at a time. What lanes bring meanwhile makes the next
// request: one batch for each partition, with the records of all who wait, in the
// order in which they came. So ten thousand lanes with a record each cost a few
// requests, and a lane alone waits for nobody. Records without key go to one partition
// until a batch is full, then to the next (which has a leader that answers), or batches
// would be as many as partitions.
//
// # What nil means
//
// All replicas in sync have the record (acks=all): of how many these are at least, the
// topic decides by min.insync.replicas.
//
// # Errors
//
// Each message has its own, classified for the worker. Trouble of brokers is always a
// RetryAfter, never a plain error or a timeout: while one broker of three is away, what
// goes to the other two succeeds, and a plain error beside successes would be taken for
// the fault of the data.
//
// # Memory
//
// Records are read while Deliver runs and not after, although the request that carries
// them may outlast the call of a lane whose time is up: see parcel.
package producer
