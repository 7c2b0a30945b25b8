// Package flushertest proves that a kind of flusher keeps the contract of
// package flushers. A kind's own test is about thirty lines: a destination that
// can be broken and healed, and a look at what it stored.
//
//	func TestConformance(t *testing.T) {
//		flushertest.Run(t, put.Kind(), flushertest.Harness{Start: start})
//	}
//
//	func start(tb testing.TB) flushertest.Target {
//		store := newStore()                  // what the server keeps
//		server := httptest.NewServer(store)  // on port 0 of loopback
//		tb.Cleanup(server.Close)
//		p := flushertest.NewProxy(tb, server.Listener.Addr().String())
//		return flushertest.Target{
//			Options: map[string]any{"url": "http://" + p.Addr()},
//			Stored:  func() ([]flushertest.Record, error) { return flushertest.JSONLines(store.bytes()) },
//			Break:   p.Break,
//			Heal:    p.Heal,
//			Hang:    p.Hang,
//		}
//	}
//
// That proves most of it. What a destination says in trouble is proven with two
// more fields of [Target]: Answers makes it refuse in the ways that have a class
// of their own, and Poison spoils one group so that it refuses just that one.
//
// # How it works
//
// Each property is a subtest with a destination of its own from Start, and its
// name is a sentence. The suite plays the worker: it decodes the options, calls
// Init, IsReady, Flush, SetUrgent and Stop in their order, tries again what
// failed, and looks at Stored right after a nil. It never waits for data to
// appear: nil meant that it is there.
//
// What needs a process of its own runs in a child, which is the test binary with
// -test.run of this very test and gets the options; Start and its server stay in
// the parent. So whatever the test does before Run happens in the child, too:
// servers belong into Start. There is one Run in a test function or subtest, and
// needs no TestMain.
//
// # The memory of a batch
//
// As soon as Flush has returned, Raw is overwritten, and so are the groups of a
// kind that declares NoRetain, strings included: what it kept turns into text
// that nobody flushed, and a Record of that fails the test. The groups of a kind
// that does not declare it stay valid, as the worker promises; a call that has not
// returned keeps its groups in either case. Changing a group is never allowed.
//
// # What is expected of odd data
//
// Groups without logs, empty and repeated keys, bytes that are not UTF-8, nil
// elements inside a group, and groups of 3 MiB are stored, or refused as Permanent
// or TooLarge. They never panic, never make Stored fail, and never take the other
// groups of their batch with them.
//
// # Without the suite
//
// [NewContext] and [Process] are a Context without a worker, for a kind's other
// tests.
package flushertest
