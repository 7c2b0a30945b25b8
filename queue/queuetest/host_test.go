package queuetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/flushline/flushline/queue/queuetest"
)

func TestTakeGrantsBetweenMinAndMax(t *testing.T) {
	t.Parallel()
	h := queuetest.NewHost(100)
	for _, tt := range []struct{ least, most, want int64 }{{10, 60, 60}, {0, 70, 40}, {0, 5, 0}} {
		if got, err := h.Take(t.Context(), tt.least, tt.most); got != tt.want || err != nil {
			t.Errorf("take %d to %d: got %d, %v, want %d", tt.least, tt.most, got, err, tt.want)
		}
	}
	h.Give(100)
	if got, err := h.Take(t.Context(), 500, 600); got != 500 || err != nil {
		t.Errorf("a min above the whole budget: got %d, %v", got, err)
	}
	if u := h.Usage(); u.Used != 500 || u.Peak != 500 || u.Taken != 600 {
		t.Errorf("usage %+v", u)
	}
}

func TestTakersAreServedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := queuetest.NewHost(10)
		h.Charge(10)
		take := func(ctx context.Context, n int64) <-chan int64 {
			granted := make(chan int64, 1)
			go func() {
				got, err := h.Take(ctx, n, n)
				if err != nil {
					got = -n
				}
				granted <- got
			}()
			synctest.Wait()
			return granted
		}
		given, cancel := context.WithCancel(t.Context())
		first, second, third := take(given, 8), take(t.Context(), 6), take(t.Context(), 2)
		h.Give(7)
		synctest.Wait()
		if len(first)+len(second)+len(third) > 0 {
			t.Fatal("a later taker passed the first one")
		}
		cancel()
		if a := <-first; a != -8 {
			t.Fatalf("the cancelled taker got %d", a)
		}
		if b := <-second; b != 6 {
			t.Fatalf("the second taker got %d, want 6 at once when the first one left", b)
		}
		synctest.Wait()
		if len(third) > 0 {
			t.Fatal("the third taker was served with one byte free")
		}
		h.Give(3)
		if c := <-third; c != 2 {
			t.Fatalf("the third taker got %d", c)
		}
	})
}

func TestGivingTooMuchIsReported(t *testing.T) {
	t.Parallel()
	h := queuetest.NewHost(10)
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
	h.Give(1)
	if _, err := h.Take(t.Context(), 5, 3); err == nil {
		t.Error("min above max was accepted")
	}
	if err := h.Err(); err == nil {
		t.Error("no fault was recorded")
	}
}

func TestNextGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := queuetest.NewHost(1).Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("next without a strand: %v", err)
	}
}
