// Package e2e proves a kind of flusher in the real program: a queue, a worker
// process that is killed again and again, the flusher, and a destination of the
// caller's. It takes the Harness of package flushertest:
//
//	func TestKilledWorkersLoseNothing(t *testing.T) {
//		e2e.Run(t, put.Kind(), flushertest.Harness{Start: start})
//	}
//
// Logs with ids are published to a nats-server inside the test, on port 0 of
// loopback. The worker is `flushline run` with a configuration file, in a process of
// its own. It dies by kill -9 where that hurts most: with a batch that was not begun,
// inside Flush, after Flush returned nil and before the worker knew it, just after
// the worker was told, and at random times. Once the destination is broken and
// healed (Break and Heal of the Target, if there are any), once the worker is stopped
// in order under load. Then a last worker does what is left, and the ledger compares
// what the queue confirmed with what Stored returns.
//
// # The verdict
//
// Nothing may be lost, changed, made up or dead-lettered. A kind that declares
// PerGroup or PerLog has no duplicates. Any other may have what was inside Flush, or
// stored and not acknowledged, when its worker was killed and, unless it declares
// SameCall, what was in a Flush that failed. A kind that answers nil too early or
// drops what failed has lost something by then.
//
// # Time
//
// A run takes some 20 s, with FLUSHLINE_LONG=1 a few minutes, more if the destination
// is slow. FLUSHLINE_SEED repeats its random choices.
//
// # The process
//
// The worker is the test binary with -test.run of this very test: Run sees that by
// an environment variable and becomes flushline, there is no TestMain to write. So
// whatever the test does before Run, and TestMain if there is one, happens in each
// worker's process, too: servers belong into Start, which only the parent calls. There
// is one Run in a test function or subtest. On Windows nothing is stopped in order.
package e2e
