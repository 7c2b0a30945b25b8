// Package worker is the engine: it moves deliveries from sources through lanes
// into flushers and settles each message once, when its last part has ended.
//
// # The life of a message
//
// A strand's serve loop (intake.go) fetches deliveries, runs pass one, finds the
// keys (key.go), picks the route (target.go, route.go) and makes a part for each
// group and flusher entry (part.go). Parts are queued on lanes (lane.go). A lane
// opens its instance (open.go), forms a batch (batch.go), takes bytes of the work
// pool (work.go), asks IsReady (ready.go), runs pass two and calls Flush (flush.go,
// call.go); calls that do not return are given up (abandon.go). What comes of it is
// read in verdict.go and decided in outcome.go: what fails is tried again
// (retry.go) or becomes a dead letter (letter.go, guard.go). The end of the last
// part acknowledges the message and frees its bytes (part.go). An instance that is
// replaced, idle or not needed any more is stopped in farewell.go.
//
// What the routes are may change while messages move (reload.go): strands adopt the
// newest table (table.go), lanes the newest version of their entry (version.go), and
// entries that were removed leave when they hold nothing (leaving.go). Routes,
// entries, lanes and strands can be paused (pause.go).
//
// # Who runs what
//
// One goroutine per strand does intake. Lanes have no goroutine of their own:
// those with quick calls share runners, a lane with slow calls gets a goroutine
// while it has something to do (runner.go). Waiting lanes lie on the timer wheel
// of their flusher entry (wheel.go) or in line for work bytes; idle ones are
// nothing but memory.
//
// # Invariants held here
//
// A part ends once (part.end is a compare-and-swap). Each lane's counts add up
// under its lock, so the sum over lanes is a snapshot (I5). A message's bytes are
// given back when it is settled and no call refers to it. Nothing is released
// before the strand's context has ended.
package worker
