// Package job makes a bounded, resumable source of what a queue or a directory
// holds. A plan names slices: runs of positions of one input each. A Source reads
// the slices of one shard, some at a time, each as a bounded strand, and keeps in a
// checkpoint what has ended, so that a later start goes on there.
//
// What differs between Kafka, NATS and files is an Input, which opens slices, and
// who makes the plan. What differs between places to keep a job in is a State.
package job
