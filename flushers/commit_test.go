package flushers_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
)

// ledger is a destination: it stores what it does not refuse.
type ledger struct {
	mu     sync.Mutex
	writes [][]string
	at     []time.Time
	do     func(ctx context.Context, items []string) error
}

func (l *ledger) write(ctx context.Context, items []string) error {
	l.mu.Lock()
	l.writes = append(l.writes, append([]string(nil), items...))
	l.at = append(l.at, time.Now())
	do := l.do
	l.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(ctx, items)
}

func (l *ledger) sizes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sizes []string
	for _, w := range l.writes {
		sizes = append(sizes, fmt.Sprint(len(w)))
	}
	return strings.Join(sizes, " ")
}

// crowd is members whose Joins run side by side.
type crowd struct {
	sync.WaitGroup
	mu   sync.Mutex
	errs map[string]error
}

func (c *crowd) join(ctx context.Context, g *flushers.GroupCommit[string], item string, urgent bool) {
	c.Go(func() {
		err := g.Join(ctx, item, int64(len(item)), urgent)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.errs == nil {
			c.errs = map[string]error{}
		}
		c.errs[item] = err
	})
	synctest.Wait() // the order of joining is that of the calls
}

func (c *crowd) want(t *testing.T, item string, want error) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	err, there := c.errs[item]
	if !there || !errors.Is(err, want) {
		t.Errorf("%s got %v (there: %v), want %v", item, err, there, want)
	}
}

// commitTest runs a test in a bubble that finds goroutines left behind.
func commitTest(t *testing.T, limits flushers.CommitLimits, f func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, c := &ledger{}, &crowd{}
		g := flushers.NewGroupCommit(limits, l.write)
		f(t, l, g, c)
		c.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}

var errAway = errors.New("connection refused")

func TestMembersJoinTheWriteBehindTheOneThatRuns(t *testing.T) {
	commitTest(t, flushers.CommitLimits{}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
		l.do = func(context.Context, []string) error { time.Sleep(time.Second); return nil }
		began := time.Now()
		for i := range 10 {
			c.join(t.Context(), g, fmt.Sprint(i), false)
		}
		time.Sleep(1500 * time.Millisecond)
		c.want(t, "0", nil)
		c.mu.Lock()
		if len(c.errs) != 1 {
			t.Errorf("%d members have an answer while their write runs", len(c.errs)-1)
		}
		c.mu.Unlock()
		c.Wait()
		if l.sizes() != "1 9" || time.Since(began) != 2*time.Second {
			t.Errorf("writes of %s members in %v", l.sizes(), time.Since(began))
		}
		if got := strings.Join(l.writes[1], ""); got != "123456789" {
			t.Errorf("the order is %s", got)
		}
	})
}

func TestAWriteLingersUntilItsTimeIsUpItIsFullOrUrgent(t *testing.T) {
	for name, tc := range map[string]struct {
		limits flushers.CommitLimits
		items  int
		urgent bool
		sizes  string
		took   time.Duration
	}{
		"alone":  {flushers.CommitLimits{Linger: time.Second}, 1, false, "1", time.Second},
		"time":   {flushers.CommitLimits{Linger: time.Second}, 5, false, "5", time.Second},
		"items":  {flushers.CommitLimits{Linger: time.Second, Items: 3}, 6, false, "3 3", 0},
		"rest":   {flushers.CommitLimits{Linger: time.Second, Items: 3}, 7, false, "3 3 1", time.Second},
		"bytes":  {flushers.CommitLimits{Linger: time.Second, Bytes: 7}, 6, false, "3 3", time.Second}, // 2 bytes each
		"urgent": {flushers.CommitLimits{Linger: time.Second}, 4, true, "4", 100 * time.Millisecond},
		"large":  {flushers.CommitLimits{Linger: time.Second, Bytes: 1}, 3, false, "1 1 1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			commitTest(t, tc.limits, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
				began := time.Now()
				for i := range tc.items {
					c.join(t.Context(), g, fmt.Sprintf("%02d", i), tc.urgent && i == tc.items-1)
				}
				c.Wait()
				if l.sizes() != tc.sizes || time.Since(began) != tc.took {
					t.Errorf("writes of %s members in %v, want %s in %v", l.sizes(), time.Since(began), tc.sizes, tc.took)
				}
			})
		})
	}
}

func TestEachMemberGetsItsOwnResult(t *testing.T) {
	commitTest(t, flushers.CommitLimits{Linger: time.Second}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
		l.do = func(context.Context, []string) error {
			return fmt.Errorf("bulk: %w", &flushers.PartialError{Failed: map[int]error{1: errAway, 3: flushers.Permanent(errAway)}})
		}
		for i := range 5 {
			c.join(t.Context(), g, fmt.Sprint(i), false)
		}
		c.Wait()
		for i := range 5 {
			want := error(nil)
			if i == 1 || i == 3 {
				want = errAway
			}
			c.want(t, fmt.Sprint(i), want)
		}
		if class, _ := flushers.Classify(c.errs["3"]); class != flushers.ClassPermanent {
			t.Errorf("the class became %v", class)
		}
		if l.sizes() != "5" {
			t.Errorf("writes of %s", l.sizes())
		}
	})
}

// A write that blames the data must not make dead letters of all who joined it.
func TestOnlyTheMemberToBlameGetsThePermanentError(t *testing.T) {
	for name, blame := range map[string]func(error) error{"Permanent": flushers.Permanent, "TooLarge": flushers.TooLarge} {
		t.Run(name, func(t *testing.T) {
			commitTest(t, flushers.CommitLimits{Linger: time.Second}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
				l.do = func(_ context.Context, items []string) error {
					for _, s := range items {
						if s == "9" {
							return blame(errAway)
						}
					}
					return nil
				}
				for i := range 16 {
					c.join(t.Context(), g, fmt.Sprint(i), false)
				}
				c.Wait()
				for i := range 16 {
					want := error(nil)
					if i == 9 {
						want = errAway
					}
					c.want(t, fmt.Sprint(i), want)
				}
				if n := len(l.writes); n != 9 {
					t.Errorf("%d writes to find one in 16, want 9: %s", n, l.sizes())
				}
			})
		})
	}
}

func TestAFailedWriteFailsAllWhoJoinedIt(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(context.Context, []string) error
		want string
	}{
		"plain":  {func(context.Context, []string) error { return errAway }, "connection refused"},
		"panic":  {func(context.Context, []string) error { panic("boom") }, "panicked: boom"},
		"Goexit": {func(context.Context, []string) error { runtime.Goexit(); return nil }, "Goexit"},
		"index": {func(context.Context, []string) error {
			return &flushers.PartialError{Failed: map[int]error{7: errAway}}
		}, "item 7 of 3"},
		"negative": {func(context.Context, []string) error {
			return &flushers.PartialError{Failed: map[int]error{-1: errAway}}
		}, "item -1 of 3"},
		"no reason":  {func(context.Context, []string) error { return &flushers.PartialError{Failed: map[int]error{0: nil}} }, "item 0 of 3"},
		"no partial": {func(context.Context, []string) error { return (*flushers.PartialError)(nil) }, "and not which"},
	} {
		t.Run(name, func(t *testing.T) {
			commitTest(t, flushers.CommitLimits{Linger: time.Second}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
				l.do = tc.do
				for i := range 3 {
					c.join(t.Context(), g, fmt.Sprint(i), false)
				}
				c.Wait()
				for i := range 3 {
					err := c.errs[fmt.Sprint(i)]
					class, _ := flushers.Classify(err)
					if err == nil || !strings.Contains(err.Error(), tc.want) || class != flushers.ClassRetry {
						t.Errorf("member %d got %v (%v), want %q", i, err, class, tc.want)
					}
				}
				l.mu.Lock()
				l.do = nil
				l.mu.Unlock()
				c.join(t.Context(), g, "next", true)
				c.Wait()
				c.want(t, "next", nil)
			})
		})
	}
}

func TestAMemberWhoseTimeEndsIsNotWrittenOrDoesNotKnow(t *testing.T) {
	commitTest(t, flushers.CommitLimits{Linger: time.Second}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
		l.do = func(context.Context, []string) error { time.Sleep(10 * time.Second); return nil }
		brief := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		c.join(brief(500*time.Millisecond), g, "left while it lingered", false)
		c.join(t.Context(), g, "stayed", false)
		c.join(brief(5*time.Second), g, "left while it was written", false)
		time.Sleep(2 * time.Second)
		c.join(brief(time.Second), g, "left behind a write", false)
		c.Wait()
		c.want(t, "stayed", nil)
		for item, text := range map[string]string{
			"left while it lingered": "nothing was written", "left behind a write": "nothing was written",
			"left while it was written": "may still store",
		} {
			c.want(t, item, context.DeadlineExceeded)
			if !strings.Contains(c.errs[item].Error(), text) {
				t.Errorf("%s: %v", item, c.errs[item])
			}
		}
		if got := fmt.Sprint(l.writes); got != "[[stayed left while it was written]]" {
			t.Errorf("written: %s", got)
		}
	})
}

func TestAWriteThatNobodyWaitsForIsCutOff(t *testing.T) {
	commitTest(t, flushers.CommitLimits{}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
		l.do = func(ctx context.Context, items []string) error {
			if items[0] != "hangs" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.join(ctx, g, "hangs", false)
		c.join(t.Context(), g, "behind it", false)
		c.Wait()
		c.want(t, "hangs", context.DeadlineExceeded)
		c.want(t, "behind it", nil)
	})
}

func TestCloseEndsTheWriteAndRefusesWhoComes(t *testing.T) {
	commitTest(t, flushers.CommitLimits{Linger: time.Hour, Items: 1}, func(t *testing.T, l *ledger, g *flushers.GroupCommit[string], c *crowd) {
		l.do = func(ctx context.Context, _ []string) error { <-ctx.Done(); return ctx.Err() }
		c.join(t.Context(), g, "written", true)
		c.join(t.Context(), g, "lingers", false)
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		c.Wait()
		c.want(t, "written", context.Canceled)
		if err := c.errs["lingers"]; err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("who lingered got %v", err)
		}
		if err := g.Join(t.Context(), "late", 4, false); err == nil {
			t.Error("joined after Close")
		}
		if l.sizes() != "1" {
			t.Errorf("writes of %s", l.sizes())
		}
	})
}

// Real goroutines and no linger: every member is in exactly one write.
func TestThousandsOfMembersAreWrittenOnceEach(t *testing.T) {
	t.Parallel()
	const members, each = 500, 40
	l := &ledger{}
	g := flushers.NewGroupCommit(flushers.CommitLimits{Items: 300}, l.write)
	var wg sync.WaitGroup
	for m := range members {
		wg.Go(func() {
			for i := range each {
				if err := g.Join(context.Background(), fmt.Sprint(m, "/", i), 1, false); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	seen := map[string]int{}
	for _, w := range l.writes {
		if len(w) > 300 {
			t.Errorf("%d members in a write", len(w))
		}
		for _, s := range w {
			seen[s]++
		}
	}
	if len(seen) != members*each {
		t.Errorf("%d of %d were written", len(seen), members*each)
	}
	for s, n := range seen {
		if n != 1 {
			t.Errorf("%s was written %d times", s, n)
		}
	}
}
