package faultproxy

import (
	"math/rand/v2"
	"time"
)

// Way is one direction of a connection.
type Way int

// The two ways.
const (
	ToServer Way = iota
	ToClient
	ways
)

func (w Way) String() string {
	if w == ToServer {
		return "to the server"
	}
	return "to the client"
}

// Fault is what happens to the bytes of one way of all connections, from [Proxy.Set]
// to [Proxy.Heal]. The zero value passes them on. Faults can be combined.
type Fault struct {
	// Latency is how long bytes are on their way, and Jitter what is added to it at
	// most. Bytes do not overtake each other.
	Latency, Jitter time.Duration

	// Rate is how many bytes a second a connection passes; 0: as fast as they come. The
	// proxy buffers little, so whoever sends soon notices.
	Rate int

	// Hold keeps bytes back. They go on when the fault has ended, as after a
	// partition that was shorter than the patience of both sides.
	Hold bool

	// Drop swallows bytes, and the end of a connection, while the other way goes on.
	// A connection that lost some is reset when the fault has ended: nobody could
	// make sense of the rest.
	Drop bool

	// CutAfter cuts a connection behind so many bytes of this way, counted for each
	// from the fault's begin; 0: never. The bytes before arrive; whoever sent them is
	// reset.
	CutAfter int64

	// Change alters bytes in place and returns how many. It is called for one piece
	// of a connection at a time, as it was read.
	Change func(piece []byte) int
}

// OneIn makes a [Fault.Change] that flips a bit in one byte of n on average.
func OneIn(n int, rng *rand.Rand) func([]byte) int {
	gap := func() int { return rng.IntN(2*n-1) + 1 }
	next := gap()
	return func(piece []byte) (changed int) {
		for ; next <= len(piece); next += gap() {
			piece[next-1] ^= 1 << rng.IntN(8)
			changed++
		}
		next -= len(piece)
		return changed
	}
}

// Met is what the faults of one way met: bytes, but for Cut and HalfClosed, which are
// connections.
type Met struct {
	Passed     int64 // reached the other side, changed or not
	Delayed    int64
	Slowed     int64
	Held       int64
	Dropped    int64
	Changed    int64
	Cut        int64
	HalfClosed int64
}
