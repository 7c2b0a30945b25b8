// Package e2e runs the real program against a real nats-server and a real Apache
// Kafka, each in a process of its own, hurts them, and judges what is left by the
// delivery ledger.
//
// Each scenario has two sizes: a short one that is part of `go test`, and the
// full one behind FLUSHLINE_LONG=1 (`make e2e-long`). In all kill tests one route
// waits a second in its batch and one destination is slow: with only a fast file
// flusher, an acknowledgement before Flush goes unnoticed.
//
// TestCrash is the matrix of crashes: every point of internal/failpoint on every queue,
// killed, ended, frozen, delayed and made to fail and to panic. Some cells run always,
// all with FLUSHLINE_CRASH=all.
//
// TestKillsRandom and TestKillsPlaced kill a number of times that FLUSHLINE_KILLS gives
// (`make kills`). TestRollingUpgrade needs the history of a clone.
//
// TestJob... are the jobs that end: a range of a queue or a tree of files is known by
// its ids, exactly these have to arrive, and the job's report has to count them.
//
// TestSoak has load and everything that may happen beside each other, for 45 seconds or
// as long as FLUSHLINE_SOAK says (`make soak`), and looks at what workers need at rest.
package e2e
