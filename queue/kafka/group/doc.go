// Package group is membership of a Kafka consumer group by incremental
// cooperative rebalancing: a member goes on consuming what it keeps while the
// group finds out who gets the rest.
//
// # A round
//
// When members come, go or change, the coordinator answers heartbeats with
// REBALANCE_IN_PROGRESS. Each member then joins again at once and says what it
// holds; one of them, the leader, plans. A partition that somebody holds goes to
// its holder or to nobody. Its holder drains it, commits, lets go and joins
// again; the partition is given to its next owner in that second round. Draining
// so happens between rounds, where nothing but heartbeats is asked of a member,
// and one slow drain holds back one partition.
//
// # A lease
//
// A [Lease] is one partition under one assignment, from its grant until
// Config.Serve returns. Commits are checked against the lease, not against the
// partition's number: the broker accepts from a current member a commit for a
// partition that is not its own. There are never two leases of one partition at
// once in a process.
//
// A lease ends in one of three ways. Revoked and stopping leases drain, commit
// and return. A lost lease (the coordinator forgot or fenced this member) has
// nothing left to say: whoever owns the partition now has already begun where
// the last accepted commit was.
//
// # What is not an end
//
// A coordinator that is away or moves takes nothing from its members: identity
// and generation survive it, and session timers begin anew where it comes up
// again. So missed heartbeats alone never end a lease. Only a process that did
// nothing at all for longer than the session time must ask before it goes on:
// see [Lease.Doubtful].
//
// # Layout
//
//	member    what callers see
//	machine   what follows from each answer, without goroutines, clocks or sockets:
//	          round, leases, pulse, coordinator and stop are its chapters, verdict
//	          reads errors and action lists what it can ask for
//	drive     carries out what the machine asks for; lead and grant are its larger parts
//	commit    offsets, fenced by lease
//	balance   who gets what
//	claim     what members and leader tell each other, in the format of Kafka's consumers
//
// The rules and formats are those of the Apache Kafka protocol guide, KIP-345
// (static membership) and KIP-429 (cooperative rebalancing).
package group
