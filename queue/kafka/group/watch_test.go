package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// watch sees what members on a real broker serve and commit.
type watch struct {
	mu    sync.Mutex
	spans []*span
}

// span is one Serve.
type span struct {
	wire.TopicPartition
	pod        string
	start      int64 // committed offset that it began with
	begin, end time.Time
	orderly    bool        // it drained and stored its end
	ticks      []time.Time // when it was free to work
	stored     []stored
}

// stored is a commit that the broker accepted.
type stored struct {
	offset         int64
	sent, returned time.Time
}

const beatOfWork = 5 * time.Millisecond

// worker is a member on a real broker. Its work on a partition is to count.
type worker struct {
	*Member
	w      *watch
	name   string
	client *wire.Client
	gate   *gate
	drain  time.Duration
	stop   context.CancelCauseFunc
	ended  chan struct{}
	err    error
}

// work configures members of a test group.
type work struct {
	cluster *kafkabroker.Cluster // nil: kfake
	brokers []string
	topic   string
	config  Config // Client, Group, Partitions and Serve are filled in
}

func (o work) start(t *testing.T, w *watch, name string, drain time.Duration) *worker {
	t.Helper()
	client, err := wire.NewClient(wire.Config{Brokers: o.brokers, ClientID: name})
	if err != nil {
		t.Fatal(err)
	}
	p := &worker{w: w, name: name, client: client, gate: newGate(client), drain: drain, ended: make(chan struct{})}
	cfg := o.config
	cfg.Client, cfg.Group, cfg.Serve = p.gate, o.topic, p.serve
	cfg.Partitions = func(ctx context.Context, topics []string) (map[string][]int32, error) {
		c, err := client.Metadata(ctx, topics)
		if err != nil {
			return nil, err
		}
		all := map[string][]int32{}
		for name, topic := range c.Topics {
			if topic.Err == nil {
				for _, p := range topic.Partitions {
					all[name] = append(all[name], p.ID)
				}
			}
		}
		return all, nil
	}
	if p.Member, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.WithoutCancel(t.Context()))
	p.stop = stop
	p.Subscribe([]string{o.topic})
	go func() {
		p.err = p.Run(ctx)
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.gate.revive()
		p.halt()
		client.Close()
	})
	return p
}

func (p *worker) halt() {
	p.stop(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
	<-p.ended
}

// serve counts, tick by tick, beside which commits go on, and commits once more at
// the end if the end is in order.
func (p *worker) serve(ctx context.Context, l *Lease) {
	s := &span{TopicPartition: l.TopicPartition, pod: p.name, start: max(l.Committed, 0), begin: time.Now()}
	p.w.mu.Lock()
	p.w.spans = append(p.w.spans, s)
	p.w.mu.Unlock()
	done := s.start
	marks := make(chan int64)
	var committing sync.WaitGroup
	committing.Go(func() {
		for offset := range marks {
			p.commit(ctx, s, l, offset)
		}
	})
	tick := time.NewTicker(beatOfWork)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			p.gate.wait()
			if l.Doubtful() {
				continue
			}
			done++
			p.w.mu.Lock()
			s.ticks = append(s.ticks, time.Now())
			p.w.mu.Unlock()
			if done%10 == 0 {
				select {
				case marks <- done:
				default: // the one before is under way
				}
			}
		}
	}
	close(marks)
	committing.Wait()
	var end *queue.End
	errors.As(context.Cause(ctx), &end)
	orderly := false
	if end.Reason != queue.Lost {
		select {
		case <-time.After(p.drain):
			last, cancel := context.WithDeadline(context.WithoutCancel(ctx), end.Deadline.Add(time.Second))
			orderly = p.commit(last, s, l, done)
			cancel()
		case <-l.Lost():
		}
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	s.end, s.orderly = time.Now(), orderly
}

func (p *worker) commit(ctx context.Context, s *span, l *Lease, offset int64) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	sent := time.Now()
	if errs := p.Commit(ctx, []Mark{{Lease: l, Offset: offset}}); errs != nil {
		return false // lost, or not answered in time: then it may be stored, and is not counted on
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	s.stored = append(s.stored, stored{offset, sent, time.Now()})
	return true
}

// stalls are the longest times that partitions were not worked on since a moment:
// of those that one lease served throughout, and of the others.
func (w *watch) stalls(since time.Time) (kept, moved time.Duration, movedCount int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ticks := map[wire.TopicPartition][]time.Time{}
	leases := map[wire.TopicPartition]int{}
	for _, s := range w.spans {
		if s.end.IsZero() || s.end.After(since) {
			ticks[s.TopicPartition] = append(ticks[s.TopicPartition], s.ticks...)
			leases[s.TopicPartition]++
		}
	}
	for p, all := range ticks {
		slices.SortFunc(all, time.Time.Compare)
		last, longest := since, time.Duration(0)
		for _, at := range all {
			if at.After(since) {
				longest = max(longest, at.Sub(last))
				last = at
			}
		}
		longest = max(longest, time.Since(last))
		if leases[p] == 1 {
			kept = max(kept, longest)
		} else {
			moved = max(moved, longest)
			movedCount++
		}
	}
	return kept, moved, movedCount
}

// shared waits until workers serve so many partitions each, and all tick.
func shared(t *testing.T, each int, workers ...*worker) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	for {
		states := ""
		for _, p := range workers {
			if s := p.Status(); s.Leases != each || s.Draining > 0 {
				states += fmt.Sprintf("\n%s: %+v", p.name, s)
			}
		}
		if states == "" {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("not %d partitions for each:%s", each, states)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ticking waits until everything is worked on.
func (w *watch) ticking(t *testing.T, partitions int) {
	t.Helper()
	begin := time.Now()
	for {
		seen := map[wire.TopicPartition]bool{}
		w.mu.Lock()
		for _, s := range w.spans {
			if n := len(s.ticks); n > 0 && s.ticks[n-1].After(begin) {
				seen[s.TopicPartition] = true
			}
		}
		w.mu.Unlock()
		if len(seen) == partitions {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("only %d partitions are worked on", len(seen))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// verify checks all that was seen. A lease commits nothing after its successor
// began to; nobody begins before what was stored; leases that ended in order do not
// overlap with the next.
func (w *watch) verify(t *testing.T) (commits int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.spans, func(a, b *span) int { return a.begin.Compare(b.begin) })
	for i, a := range w.spans {
		commits += len(a.stored)
		for _, b := range w.spans[i+1:] {
			if a.TopicPartition == b.TopicPartition {
				w.compare(t, a, b)
			}
		}
	}
	return commits
}

// compare checks a span against a later one of the same partition.
func (w *watch) compare(t *testing.T, a, b *span) {
	t.Helper()
	if a.orderly && a.end.After(b.begin) {
		t.Errorf("%s: %s drained until %v and %s served it %v before", a.TopicPartition, a.pod, a.end.Format(time.StampMilli), b.pod, a.end.Sub(b.begin))
	}
	for _, s := range a.stored {
		if s.returned.Before(b.begin) && s.offset > b.start && !w.wentBack(b, s) {
			t.Errorf("%s: %s stored %d at %v, and %s began at %d at %v", a.TopicPartition, a.pod, s.offset, s.returned.Format(time.StampMilli), b.pod, b.start, b.begin.Format(time.StampMilli))
		}
		if len(b.stored) > 0 && s.sent.After(b.stored[0].returned) {
			t.Errorf("%s: %s stored %d after %s had stored %d", a.TopicPartition, a.pod, s.offset, b.pod, b.stored[0].offset)
		}
	}
}

// wentBack says whether the stored offset was another lease's to overwrite between
// s and the begin of b: one that had begun lower.
func (w *watch) wentBack(b *span, s stored) bool {
	for _, o := range w.spans {
		if o != b && o.TopicPartition == b.TopicPartition && o.begin.Before(b.begin) {
			for _, other := range o.stored {
				if other.offset < s.offset && other.returned.After(s.sent) && other.sent.Before(b.begin) {
					return true
				}
			}
		}
	}
	return false
}
