package history_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/jobstate"
	"github.com/flushline/flushline/test/kafkabroker"
)

// hand is a worker that acknowledges everything at once. When it has had enough, it
// waits for a checkpoint, and is killed some messages later.
type hand struct {
	mu    sync.Mutex
	seen  map[string]int
	left  int
	saved chan struct{} // closed when a checkpoint was stored after it had had enough
	kill  func()
}

const later = 50

// Serve implements queue.Host.
func (h *hand) Serve(ctx context.Context, s queue.Strand) error {
	var err error
	for err == nil {
		var ds []*queue.Delivery
		ds, err = s.Fetch(ctx, queue.Room{Messages: 100, Bytes: 1 << 20})
		for _, d := range ds {
			h.take(s.Info().Name, d)
		}
	}
	if ended := errors.Is(err, io.EOF) || ctx.Err() != nil; !ended {
		return err
	}
	return nil
}

func (h *hand) take(strand string, d *queue.Delivery) {
	h.mu.Lock()
	h.seen[fmt.Sprint(strand, d.Message().Position)]++
	h.left--
	left := h.left
	h.mu.Unlock()
	if left < 0 {
		<-h.saved
	}
	if left == -later {
		h.kill()
	}
	d.Account([]queue.PartEnd{{Route: "r", Flusher: "f", Outcome: queue.Flushed}})
	d.Ack()
	d.Free()
}

// Take, Give and Charge implement queue.Host: there is no limit.
func (h *hand) Take(_ context.Context, _, most int64) (int64, error) { return most, nil }
func (h *hand) Give(int64)                                           {}
func (h *hand) Charge(int64)                                         {}

// A job over real partitions, with what is no data in them, is killed again and again.
// Each message comes; what comes twice is within the reported bound; the counts of the
// last report are exact.
func TestAJobThatIsKilledEndsWhole(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(3, nil)
	const n = 1500
	for p := range int32(3) {
		for at := 0; at < n; at += 500 {
			w.produce(p, at, at+500)
			w.cluster.Transact(t, w.topic, false, w.record(p, 9999))
		}
	}
	plan, err := history.PlanRange(t.Context(), w.client, &w.cfg, bound(t, "earliest"), bound(t, "end"), 1)
	if err != nil {
		t.Fatal(err)
	}
	m := publish(t, w, plan)
	seen := map[string]int{}
	kills := 0
	for ; kills < 20; kills++ {
		r, done := w.start(t, m, &hand{seen: seen, left: 1200, saved: make(chan struct{})})
		if !done {
			continue
		}
		var twice int64
		for place, times := range seen {
			if times < 1 {
				t.Errorf("%s did not come", place)
			}
			twice += int64(times - 1)
		}
		if len(seen) != 3*n || twice > r.Twice {
			t.Errorf("%d messages, %d of them again, want %d and at most %d", len(seen), twice, 3*n, r.Twice)
		}
		if r.Messages != 3*n || r.Passed[job.PassedAborted] == 0 || r.Messages+r.Passed[job.PassedAborted]+r.Passed[job.PassedControl] != r.Planned.Positions {
			t.Errorf("the report says %+v of %+v", r.Totals, r.Planned)
		}
		t.Logf("%d kills, %d messages twice, at most %d", r.Killed, twice, r.Twice)
		return
	}
	t.Fatalf("it has not ended after %d kills", kills)
}

func publish(t *testing.T, w *work, plan *job.Plan) *job.Manifest {
	t.Helper()
	st := w.state(t)
	defer st.Close()
	pieces, sizes := job.Pieces(plan.Slices, 1)
	err := st.Publish(w.Context(), pieces, func(n int) ([]byte, error) {
		return json.Marshal(job.Manifest{Version: 1, Job: "whole", Created: time.Now(), Kind: plan.Kind, Range: plan.Range, Pieces: n, Shards: sizes()})
	})
	if err != nil {
		t.Fatal(err)
	}
	value, err := st.Manifest(w.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := job.ParseManifest(value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w *work) state(t *testing.T) job.State {
	t.Helper()
	st, err := jobstate.OpenState(w.Context(), w.client, &w.cfg, "whole", 1, jobstate.Options{Session: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// noting is a lease that tells a hand when a checkpoint was stored.
type noting struct {
	job.Lease
	hand *hand
	once sync.Once
}

func (l *noting) Save(ctx context.Context, value []byte) error {
	l.hand.mu.Lock()
	enough := l.hand.left < 0
	l.hand.mu.Unlock()
	err := l.Lease.Save(ctx, value)
	if err == nil && enough {
		l.once.Do(func() { close(l.hand.saved) })
	}
	return err
}

// start works at the job until that has ended, or the hand has had enough: then it is
// killed, and nothing that it does reaches the job any more.
func (w *work) start(t *testing.T, m *job.Manifest, h *hand) (r job.Report, done bool) {
	t.Helper()
	st := w.state(t)
	l, err := st.Claim(w.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(w.Context())
	defer end(nil)
	h.kill = func() {
		_ = st.Close()
		end(&queue.End{Reason: queue.Stopping, Deadline: time.Now()})
	}
	src, err := job.New(job.Config{
		Name: "kafka", Manifest: m, Input: w.input(), Lease: &noting{Lease: l, hand: h},
		Slices: func(ctx context.Context) job.Slices { return job.SlicesOf(ctx, st, m) },
	})
	if err != nil {
		t.Fatal(err)
	}
	err = src.Run(ctx, h)
	if ctx.Err() != nil && err != nil {
		return r, false
	}
	if r = src.Report(); err != nil || !r.Finished {
		t.Fatalf("run ended with %v and %+v", err, r)
	}
	if err := l.Release(w.Context()); err != nil {
		t.Error(err)
	}
	_ = st.Close()
	return r, true
}
