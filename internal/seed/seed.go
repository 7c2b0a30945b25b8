// Package seed gives tests randomness that can be had again.
package seed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// New is the randomness of one run. Its seed is printed, and taken from
// FLUSHLINE_SEED if that is set.
func New(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FLUSHLINE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("FLUSHLINE_SEED: %v", err)
		}
	}
	t.Logf("FLUSHLINE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
