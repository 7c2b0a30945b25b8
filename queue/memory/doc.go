// Package memory is a queue in the memory of the process: a [Queue] with one or
// more partitions and a [Sink]. It promises what the real queues promise, less
// durability, passes queuetest, and is what other packages test against. It works
// inside testing/synctest bubbles and is quick enough to stand in benchmarks.
//
// # Settlement
//
// An acknowledged message is gone. What was released, or not settled when its
// strand ended, is delivered again by the next lease of its partition with a
// higher attempt. Settlements that come after a strand was lost, or after Serve
// returned, change nothing and are counted by [Queue.Fenced].
package memory
