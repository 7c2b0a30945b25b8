// Package jobstate keeps a job in a compacted topic of Kafka.
//
// The topic <topic>.<group>.job.<job> has a partition for each shard, one for the
// manifest and one for the pieces of the plan. Everything in it is a record whose key
// nobody else writes, so compaction keeps what counts. What counts is decided by the
// order of the log alone, which all readers see the same:
//
//   - The first manifest is the job's. Whoever stored a later one finds out by reading
//     up to its own, and takes its pieces away again.
//   - A shard belongs to the newest claim. A claim carries an epoch, one more than the
//     newest there is; the first claim of an epoch counts. Checkpoints and signs of
//     life carry the epoch of their holder. The checkpoint is the last of the highest
//     epoch that has one.
//
// # A lease
//
// The holder of a shard gives a sign of life four times in a session. Who wants the
// shard watches the partition: only when a whole session has passed without one, or
// the holder has let go, it writes its claim. No clocks are compared.
//
// A holder that was taken for dead can do no harm. Whatever it stores lies behind the
// new claim and has a lower epoch. It finds out with the first thing that it stores:
// if that does not lie right behind what it stored before, somebody else has written,
// and it reads what. So a Save that returns nil was stored while the shard was held.
//
// Brokers that are away take a shard from nobody: neither the holder nor who waits
// for it can write or read meanwhile.
package jobstate
