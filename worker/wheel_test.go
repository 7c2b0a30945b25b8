package worker

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// lateMost is how much later than asked for a waiter may be woken.
const lateMost = (longTicks + 2) * wheelTick

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
				if took < min(x.d, turn) || took > x.d+lateMost {
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

// A lane that waits from a time long past, as when a slow IsReady was asked, does not
// make the others on the wheel wait longer.
func TestAWaitFromThePastDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		woken := map[uint32]time.Duration{}
		began := time.Now()
		w := newWheel(func(ws []waiter) {
			mu.Lock()
			defer mu.Unlock()
			for _, x := range ws {
				woken[x.gen] = time.Since(began)
			}
		})
		w.add(waiter{gen: 1}, began, 500*time.Millisecond)
		w.add(waiter{gen: 2}, began.Add(-20*time.Second), 100*time.Millisecond)
		time.Sleep(time.Minute)
		synctest.Wait()
		if woken[1] > 500*time.Millisecond+lateMost || woken[2] > lateMost || len(woken) != 2 {
			t.Errorf("woken after %v", woken)
		}
	})
}
