package sim

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"
)

// dice are random numbers for one goroutine.
type dice struct{ r *rand.Rand }

// throw makes dice that depend on nothing but the seed and the names. Whatever happens
// on several goroutines throws its own, so that their order decides nothing.
func throw(seed uint64, names ...string) *dice {
	h := fnv.New64a()
	for _, name := range names {
		_, _ = io.WriteString(h, name+"\x00") // never fails
	}
	return &dice{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

func (d *dice) n(n int) int          { return d.r.IntN(n) }
func (d *dice) one(in int) bool      { return d.r.IntN(in) == 0 }
func (d *dice) between(a, b int) int { return a + d.r.IntN(b-a+1) }
func (d *dice) within(a, b time.Duration) time.Duration {
	return (a + time.Duration(d.r.Int64N(int64(b-a)+1))).Round(time.Millisecond)
}

func pick[T any](d *dice, of ...T) T { return of[d.n(len(of))] }
