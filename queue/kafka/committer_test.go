package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// coordinator stands for the group's coordinator: it stores marks, or does what a
// test tells it to.
type coordinator struct {
	mu       sync.Mutex
	stores   map[wire.TopicPartition]mark
	requests [][]mark
	under    int // requests under way
	answer   func(ctx context.Context, m mark) error
}

func (c *coordinator) commit(ctx context.Context, marks []mark) []error {
	c.mu.Lock()
	c.requests = append(c.requests, marks)
	c.under++
	if c.under > 1 {
		panic("two requests at a time")
	}
	answer := c.answer
	c.mu.Unlock()
	errs := make([]error, len(marks))
	for i, m := range marks {
		if answer != nil {
			errs[i] = answer(ctx, m)
		}
		if errs[i] == nil {
			c.store(m)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.under--
	return errs
}

func (c *coordinator) store(m mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stores == nil {
		c.stores = map[wire.TopicPartition]mark{}
	}
	c.stores[m.cursor.partition] = m
}

func (c *coordinator) offset(cur *cursor) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.stores[cur.partition]
	if !ok {
		return -1
	}
	return m.offset
}

func (c *coordinator) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests)
}

func (c *coordinator) does(answer func(ctx context.Context, m mark) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// away answers nothing until ctx ends.
func away(ctx context.Context, _ mark) error {
	<-ctx.Done()
	return fmt.Errorf("no answer: %w", context.Cause(ctx))
}

// bench is a committer that runs in a bubble.
type bench struct {
	*committer
	broker coordinator
	stop   func()
}

func commits(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	b.committer = newCommitter(CommitConfig{Every: time.Second, Messages: 100}, b.broker.commit)
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = func() {
		cancel()
		<-b.closed
	}
	go b.run(ctx)
	return b
}

// lease is a cursor of a partition with open messages [0, 1000).
func (b *bench) lease(partition int32) (*cursor, map[int64]int64) {
	cur := newCursor(inheritance{Partition: wire.TopicPartition{Topic: "logs", Partition: partition}}, 0, 1000, time.Now())
	b.add(cur)
	return cur, take(cur, 0, 1000)
}

func (b *bench) ends(cur *cursor, open map[int64]int64, from, to int64) {
	for pos := from; pos < to; pos++ {
		endAll(cur, open, pos)
		b.settled()
	}
}

func bubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := commits(t)
		defer b.stop()
		f(t, b)
	})
}

func TestOneRequestAnInterval(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		one, open := b.lease(1)
		two, more := b.lease(2)
		b.ends(one, open, 0, 10)
		b.ends(two, more, 0, 20)
		time.Sleep(1500 * time.Millisecond)
		if b.broker.asked() != 1 || b.broker.offset(one) != 10 || b.broker.offset(two) != 20 {
			t.Errorf("%d requests, offsets %d and %d, want 1, 10, 20", b.broker.asked(), b.broker.offset(one), b.broker.offset(two))
		}
		time.Sleep(time.Hour)
		if b.broker.asked() != 1 {
			t.Errorf("%d requests while nothing moved", b.broker.asked())
		}
	})
}

func TestManyEndsDoNotWaitForTheInterval(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.ends(cur, open, 0, 99)
		synctest.Wait()
		if b.broker.asked() != 0 {
			t.Error("99 messages were enough")
		}
		b.ends(cur, open, 99, 100)
		synctest.Wait()
		if b.broker.offset(cur) != 100 {
			t.Errorf("offset %d after 100 messages, want 100 at once", b.broker.offset(cur))
		}
		b.ends(cur, open, 100, 160)
		time.Sleep(time.Second)
		synctest.Wait()
		b.ends(cur, open, 160, 220)
		synctest.Wait()
		if b.broker.offset(cur) != 160 {
			t.Errorf("offset %d: what an interval has committed counts again", b.broker.offset(cur))
		}
		b.ends(cur, open, 220, 260)
		synctest.Wait()
		if b.broker.offset(cur) != 260 {
			t.Errorf("offset %d after another 100 messages, want 260 at once", b.broker.offset(cur))
		}
	})
}

// A coordinator that is away for minutes delays nobody: ends return at once, what
// is sent afterwards is the newest position, and nothing is sent in between that
// is older.
func TestACommitThatBlocksDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.broker.does(away)
		began := time.Now()
		for pos := int64(0); pos < 600; pos++ {
			b.ends(cur, open, pos, pos+1)
			if pos%5 == 0 {
				time.Sleep(time.Second)
			}
		}
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("ends took %v", took-2*time.Minute)
		}
		s := cur.status()
		if s.committed != 0 || s.err == nil || s.since.Sub(began) > 10*time.Second || s.low != 600 {
			t.Errorf("while it is away: %+v", s)
		}
		b.broker.does(nil)
		time.Sleep(patience + 2*time.Second)
		if got := b.broker.offset(cur); got != 600 {
			t.Errorf("offset %d when it is back, want 600", got)
		}
		last := int64(-1)
		for _, r := range b.broker.requests {
			if r[0].offset < last {
				t.Errorf("%d was sent after %d", r[0].offset, last)
			}
			last = r[0].offset
		}
		if s := cur.status(); s.err != nil || s.committed != 600 {
			t.Errorf("when it is back: %+v", s)
		}
	})
}

func TestTheLastCommitCarriesTheMap(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.ends(cur, open, 0, 10)
		b.ends(cur, open, 20, 30)
		if err := b.final(t.Context(), cur); err != nil {
			t.Fatal(err)
		}
		m := b.broker.stores[cur.partition]
		got, ok := decodeGaps(cur.scope, m.offset, m.metadata)
		if m.offset != 10 || !ok || len(got) != 1 || got[0].From != 20 || got[0].To != 30 {
			t.Errorf("stored %d with %v", m.offset, got)
		}
		b.ends(cur, open, 10, 20)
		time.Sleep(time.Minute)
		if b.broker.asked() != 1 {
			t.Error("a lease that is over was committed")
		}
	})
}

func TestLeasesThatEndTogetherShareARequest(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.broker.does(func(context.Context, mark) error {
			time.Sleep(time.Millisecond)
			return nil
		})
		var all sync.WaitGroup
		for p := range int32(200) {
			cur, open := b.lease(p)
			b.ends(cur, open, 0, 3)
			all.Go(func() {
				if err := b.final(t.Context(), cur); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if b.broker.asked() > 3 {
			t.Errorf("%d requests for 200 leases", b.broker.asked())
		}
	})
}

// The last commit of a lease does not wait for one that is blocked.
func TestTheLastCommitGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		stuck, open := b.lease(1)
		b.ends(stuck, open, 0, 5)
		leaving, more := b.lease(2)
		b.broker.does(func(ctx context.Context, m mark) error {
			if m.cursor == leaving {
				return nil
			}
			return away(ctx, m)
		})
		time.Sleep(2 * time.Second) // the commit of stuck is under way
		b.ends(leaving, more, 0, 7)
		began := time.Now()
		done := make(chan error)
		go func() { done <- b.final(t.Context(), leaving) }()
		synctest.Wait()
		b.broker.does(nil)
		if err := <-done; err != nil || b.broker.offset(leaving) != 7 {
			t.Errorf("last commit: %v, offset %d", err, b.broker.offset(leaving))
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if s := stuck.status(); s.err != nil && !s.since.Before(began) {
			t.Errorf("making way counts as a failure: %+v", s)
		}
	})
}

func TestTheLastCommitEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.broker.does(away)
		b.ends(cur, open, 0, 5)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := b.final(ctx, cur)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		b.broker.does(nil)
		time.Sleep(time.Minute)
		if b.broker.offset(cur) != -1 {
			t.Error("it was committed after that")
		}
	})
}

// One lease whose time is up ends the request it is part of; the others go again.
func TestALastCommitThatWasCutShortIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		hasty, open := b.lease(1)
		b.ends(hasty, open, 0, 5)
		calm, open := b.lease(2)
		b.ends(calm, open, 0, 7)
		b.broker.does(away)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := b.final(ctx, hasty); !errors.Is(err, context.Canceled) {
				t.Errorf("whose time is up: %v", err)
			}
		})
		all.Go(func() {
			if err := b.final(t.Context(), calm); err != nil || b.broker.offset(calm) != 7 {
				t.Errorf("who can wait: %v, offset %d", err, b.broker.offset(calm))
			}
		})
		synctest.Wait()
		b.broker.does(nil)
		cancel()
		all.Wait()
	})
}

func TestALastCommitThatIsRefusedIsNot(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.ends(cur, open, 0, 5)
		b.broker.does(func(context.Context, mark) error { return kafka.UnknownTopicOrPartition })
		if err := b.final(t.Context(), cur); !errors.Is(err, kafka.UnknownTopicOrPartition) || b.broker.asked() != 1 {
			t.Errorf("%v after %d requests", err, b.broker.asked())
		}
	})
}

func TestTheLastCommitWithoutNewsAsksNobody(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, _ := b.lease(1)
		b.broker.does(away)
		if err := b.final(t.Context(), cur); err != nil || b.broker.asked() != 0 {
			t.Errorf("%v after %d requests", err, b.broker.asked())
		}
	})
}

func TestALostLeaseCommitsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		lost, open := b.lease(1)
		b.ends(lost, open, 0, 5)
		b.drop(lost)
		b.ends(lost, open, 5, 200)
		time.Sleep(time.Minute)
		if err := b.final(t.Context(), lost); !errors.Is(err, group.ErrNotOwned) {
			t.Errorf("the last commit of a lost lease: %v", err)
		}
		if b.broker.asked() != 0 {
			t.Errorf("%d requests for a lost lease", b.broker.asked())
		}

		fenced, open := b.lease(2)
		b.ends(fenced, open, 0, 5)
		b.broker.does(func(context.Context, mark) error { return group.ErrNotOwned })
		began := time.Now()
		if err := b.final(t.Context(), fenced); !errors.Is(err, group.ErrNotOwned) || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A broker that allows less metadata than the default gets the offsets all the
// same.
func TestMetadataThatIsTooLargeIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.ends(cur, open, 0, 5)
		b.ends(cur, open, 9, 12)
		b.broker.does(func(_ context.Context, m mark) error {
			if m.metadata != "" {
				return &wire.Error{Err: kafka.OffsetMetadataTooLarge}
			}
			return nil
		})
		if err := b.final(t.Context(), cur); err != nil || b.broker.offset(cur) != 5 {
			t.Errorf("%v, offset %d", err, b.broker.offset(cur))
		}
	})
}

func TestACommitterThatStoppedSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		cur, open := b.lease(1)
		b.ends(cur, open, 0, 5)
		b.broker.does(away)
		done := make(chan error)
		go func() { done <- b.final(t.Context(), cur) }()
		synctest.Wait()
		b.stop()
		if err := <-done; !errors.Is(err, errCommitter) {
			t.Errorf("%v", err)
		}
		if err := b.final(t.Context(), cur); !errors.Is(err, errCommitter) {
			t.Errorf("%v", err)
		}
	})
}

func BenchmarkSettled(b *testing.B) {
	c := newCommitter(CommitConfig{Every: time.Second, Messages: 10_000}, nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.settled()
		}
	})
}
