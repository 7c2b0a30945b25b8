// Package isolation measures what one dead or slow destination costs the others, on real
// brokers: their throughput and latency beside it, the memory and CPU of parking, and how
// fast what was parked is delivered again. The worker is the real program in a process of
// its own. What is compared was measured in one run, in turn.
//
//	make isolation    # outages of ten minutes
//	go test -count 1 -v ./test/isolation
//
// FLUSHLINE_ISOLATION says how long outages last, such as 10m; without it they are short.
package isolation
