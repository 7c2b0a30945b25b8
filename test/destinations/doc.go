// Package destinations proves each kind of flusher at the server it is for: a hundred
// thousand LogGroups from a real NATS and from a real Kafka arrive complete while
// workers are killed (SIGKILL) and the destination's server is killed and started
// again on its data. Kinds that declare per-group or per-log have no duplicates.
//
// `make destinations` runs it. FLUSHLINE_GROUPS is another number of groups.
package destinations
