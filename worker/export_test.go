package worker

import "math/rand/v2"

// SeedWaits has the lanes of a worker that does not run yet draw their waits from a
// source of their own.
func (w *Worker) SeedWaits(seed uint64) { w.dice = &dice{r: rand.New(rand.NewPCG(seed, 0))} }
