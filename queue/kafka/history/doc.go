// Package history reads ranges of Kafka topics: from offset to offset, for jobs that
// end. It joins no group; of the live one it reads at most what it has committed.
//
// [PlanRange] fixes the range when a job is planned: one slice for each partition,
// whose end is an offset that exists by then. [New] makes the input that reads such
// slices. Each reader asks the leader of its partition, one request at a time;
// whatever passes by itself (a leader that moves, a broker that starts again) is an
// error of one Read, and the next Read goes on.
package history
