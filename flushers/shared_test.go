package flushers_test

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/flushline/flushline/flushers"
)

type closer struct{ close func() }

func (c *closer) Close() error { c.close(); return nil }

func open(closed *atomic.Int32) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		return &closer{func() { closed.Add(1) }}, nil
	}
}

func TestSharedClosesWithTheLastRelease(t *testing.T) {
	t.Parallel()
	var s flushers.Shared
	var closed atomic.Int32
	v1, release1, err := s.Get("k", open(&closed))
	if err != nil {
		t.Fatal(err)
	}
	v2, release2, err := s.Get("k", open(&closed))
	if err != nil {
		t.Fatal(err)
	}
	if v1 != v2 {
		t.Error("two callers of one key got two values")
	}
	release1()
	release1()
	if got := closed.Load(); got != 0 {
		t.Error("a second call of one release closed the value under its other holder")
	}
	release2()
	if got := closed.Load(); got != 1 {
		t.Errorf("closed %d times after the last release, want 1", got)
	}
	if s.Len() != 0 {
		t.Error("the closed value is still registered")
	}
	v3, release3, err := s.Get("k", open(&closed))
	if err != nil || v3 == v1 {
		t.Errorf("Get after the close = %v, %v; want a new value", v3, err)
	}
	release3()
}

func TestSharedOpensOnceAndHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s flushers.Shared
		var opens, closed atomic.Int32
		gate := make(chan struct{})
		slow := func() (io.Closer, error) {
			opens.Add(1)
			<-gate
			return open(&closed)()
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, release, err := s.Get("slow", slow)
				if err != nil {
					t.Error(err)
					return
				}
				release()
			})
		}
		synctest.Wait()
		_, release, err := s.Get("other", open(&closed)) // would deadlock the bubble if it waited for slow
		if err != nil {
			t.Fatal(err)
		}
		release()
		if got := opens.Load(); got != 1 {
			t.Errorf("%d opens of one key at a time, want 1", got)
		}
		close(gate)
		wg.Wait()
		if s.Len() != 0 {
			t.Error("values are left")
		}
	})
}

func TestSharedForgetsAFailedOpen(t *testing.T) {
	t.Parallel()
	var s flushers.Shared
	var closed atomic.Int32
	refused := errors.New("refused")
	if _, _, err := s.Get("k", func() (io.Closer, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("Get = %v, want the error of open", err)
	}
	_, release, err := s.Get("k", open(&closed))
	if err != nil {
		t.Fatalf("Get after a failed open: %v", err)
	}
	release()
}

func TestSharedSurvivesAPanicInOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s flushers.Shared
		gate := make(chan struct{})
		done := make(chan any, 2)
		go func() {
			defer func() { done <- recover() }()
			_, _, _ = s.Get("k", func() (io.Closer, error) { <-gate; panic("boom") })
		}()
		synctest.Wait()
		go func() {
			_, _, err := s.Get("k", func() (io.Closer, error) { return nil, errors.New("opened twice") })
			done <- err
		}()
		synctest.Wait()
		close(gate)
		for range 2 {
			switch v := (<-done).(type) {
			case string:
				if v != "boom" {
					t.Errorf("panic %q", v)
				}
			case error:
				if v.Error() == "opened twice" {
					t.Error("a waiter opened although an open was running")
				}
			default:
				t.Errorf("got %v, want the panic and an error", v)
			}
		}
		if s.Len() != 0 {
			t.Error("the value of a panicked open is registered")
		}
	})
}

func TestSharedOpensOnlyAfterTheCloseReturned(t *testing.T) {
	t.Parallel()
	var s flushers.Shared
	var alive atomic.Int32
	exclusive := func() (io.Closer, error) {
		if alive.Add(1) != 1 {
			t.Error("a second value was opened before the first was closed")
		}
		return &closer{func() { alive.Add(-1) }}, nil
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				_, release, err := s.Get("k", exclusive)
				if err != nil {
					t.Error(err)
					return
				}
				release()
			}
		})
	}
	wg.Wait()
	if s.Len() != 0 {
		t.Error("values are left")
	}
}
