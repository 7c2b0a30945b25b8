package worker

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever is added at whatever time is woken once: not early, except that long
// waits end with the wheel's turn, and late by little.
func TestTheWheelWakesEachWaiterOnceAndInTime(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			woken := map[uint32]time.Time{}
			w := newWheel(func(ws []waiter) {
				mu.Lock()
				defer mu.Unlock()
				for _, x := range ws {
					if _, twice := woken[x.gen]; twice {
						t.Errorf("seed %d: waiter %d was woken twice", seed, x.gen)
					}
					woken[x.gen] = time.Now()
				}
			})
			type wait struct {
				at time.Time
				d  time.Duration
			}
			var waits []wait
			for i := range uint32(200) {
				x := wait{time.Now(), time.Duration(rng.IntN(int(1 + 4*time.Second>>rng.IntN(10))))}
				waits = append(waits, x)
				w.add(waiter{gen: i}, x.at, x.d)
				time.Sleep(time.Duration(rng.IntN(int(3 * time.Second >> rng.IntN(12)))))
				synctest.Wait()
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if len(woken) != len(waits) || w.count != 0 || w.timer != nil {
				t.Fatalf("seed %d: %d of %d were woken; %d are left", seed, len(woken), len(waits), w.count)
			}
			const turn = (wheelSlots - 2) * wheelTick
			for i, x := range waits {
				took := woken[uint32(i)].Sub(x.at)
				if took < min(x.d, turn) || took > x.d+(longTicks+2)*wheelTick {
					t.Errorf("seed %d: a wait of %v took %v", seed, x.d, took)
				}
			}
		})
	}
}

func TestWakeAllLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var woken atomic.Int32
		w := newWheel(func(ws []waiter) { woken.Add(int32(len(ws))) })
		for i := range 50 {
			w.add(waiter{}, time.Now(), time.Duration(i)*100*time.Millisecond)
		}
		w.wakeAll()
		if n := woken.Load(); n != 50 || w.count != 0 || w.timer != nil {
			t.Fatalf("%d of 50 were woken, %d are left", n, w.count)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := woken.Load(); n != 50 {
			t.Fatalf("%d were woken in all", n)
		}
		w.add(waiter{}, time.Now(), 50*time.Millisecond)
		time.Sleep(61 * time.Millisecond)
		synctest.Wait()
		if woken.Load() != 51 {
			t.Fatal("the wheel does not turn again")
		}
	})
}
