// Package sim runs whole deployments in simulated time: the real worker, the real
// source and sink and a real broker, over connections in memory, inside a bubble of
// testing/synctest. A seed decides everything about such a world: how many workers
// there are, what is published, how destinations behave, and a schedule of faults.
// When the faults have ended all that was published has to be settled within a bound,
// and at no moment may anything have been acknowledged that was not delivered or kept
// as a dead letter.
//
// A seed that fails is printed with the command that repeats it. "Repeats" means: the
// same world, the same schedule at the same simulated times, and the same answers of
// destinations to the same messages. Which of several goroutines that are ready at one
// moment runs first is up to the Go scheduler, so the command runs the seed twenty
// times.
package sim
