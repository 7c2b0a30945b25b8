package memory_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/queue/queuetest"
)

var room = queue.Room{Messages: 1000, Bytes: 1 << 30}

// run starts the queue and returns the host, a way to end it, and Run's result.
func run(q *memory.Queue) (*queuetest.Host, context.CancelCauseFunc, chan error) {
	ctx, end := context.WithCancelCause(context.Background())
	h, done := queuetest.NewHost(1<<30), make(chan error, 1)
	go func() { done <- q.Run(ctx, h) }()
	return h, end, done
}

func next(t *testing.T, h *queuetest.Host) *queuetest.Serving {
	t.Helper()
	s, err := h.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fetch(t *testing.T, s *queuetest.Serving) []*queue.Delivery {
	t.Helper()
	ds, err := s.Fetch(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestPartitionsAreStrandsOfTheirOwn(t *testing.T) {
	t.Parallel()
	q := memory.New(memory.Config{Strands: 3, Bounded: true, KeepOrder: true})
	for i := range 9 {
		q.Publish(queue.Message{Value: []byte{byte(i)}, Partition: int32(i)})
	}
	h, _, done := run(q)
	for range 3 {
		s := next(t, h)
		ds := fetch(t, s)
		for i := len(ds) - 1; i >= 0; i-- {
			if got := s.Info().Name; got != fmt.Sprintf("memory[%d]", ds[i].Message().Partition) {
				t.Errorf("%s handed out a message of partition %d", got, ds[i].Message().Partition)
			}
			ds[i].Ack()
			ds[i].Free()
		}
		s.Finish(io.EOF)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	positions := map[int32][]int64{}
	for _, at := range q.AckOrder() {
		positions[at.Partition] = append(positions[at.Partition], at.Position)
	}
	want := map[int32][]int64{0: {3, 2, 1}, 1: {3, 2, 1}, 2: {3, 2, 1}}
	if diff := cmp.Diff(want, positions); diff != "" {
		t.Errorf("order of acknowledgements (-want +got):\n%s", diff)
	}
}

func TestAnEndedStrandComesBackWhenAssigned(t *testing.T) {
	t.Parallel()
	q := memory.New(memory.Config{})
	q.Publish(queue.Message{Value: []byte("a")}, queue.Message{Value: []byte("b")})
	h, end, done := run(q)
	first := next(t, h)
	ds := fetch(t, first)
	q.EndStrand(0, queue.Revoked, time.Now().Add(time.Second))
	if e, err := first.End(t.Context()); err != nil || e.Reason != queue.Revoked {
		t.Fatalf("ended with %v, %v", e, err)
	}
	ds[0].Ack()
	ds[1].Release()
	first.Finish(nil)
	q.Assign(0)
	second := next(t, h)
	again := fetch(t, second)
	if len(again) != 1 || string(again[0].Message().Value) != "b" || again[0].Attempt() != 2 {
		t.Errorf("after the revocation came %d messages, the first %q", len(again), again[0].Message().Value)
	}
	if first.Info().Incarnation == second.Info().Incarnation {
		t.Error("both leases have one incarnation")
	}
	again[0].Ack()
	end(&queue.End{Reason: queue.Stopping})
	second.Finish(nil)
	if err := <-done; err != nil || q.Pending() != 0 || q.EarlyReleases() != 0 {
		t.Errorf("run: %v, pending %d, early releases %d", err, q.Pending(), q.EarlyReleases())
	}
}

func TestBreachesOfTheContractAreCounted(t *testing.T) {
	t.Parallel()
	q := memory.New(memory.Config{})
	q.Publish(queue.Message{Value: []byte("a")}, queue.Message{Value: []byte("b")})
	h, end, done := run(q)
	s := next(t, h)
	ds := fetch(t, s)
	ds[0].Release()
	if q.EarlyReleases() != 1 {
		t.Errorf("a release while the strand lives counted %d times", q.EarlyReleases())
	}
	end(&queue.End{Reason: queue.Stopping})
	s.Finish(nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ds[1].Ack()
	if q.Fenced() != 1 || q.Pending() != 2 {
		t.Errorf("an ack after Serve returned: fenced %d, pending %d; want 1 and 2", q.Fenced(), q.Pending())
	}
}

func TestATerminalErrorOfFetchEndsRun(t *testing.T) {
	t.Parallel()
	q := memory.New(memory.Config{})
	h, _, done := run(q)
	s := next(t, h)
	broken := errors.New("disk gone")
	q.FailFetch(0, broken)
	_, err := s.Fetch(t.Context(), room)
	if !errors.Is(err, broken) {
		t.Errorf("fetch: %v", err)
	}
	s.Finish(err)
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("run: %v", err)
	}
}

func TestWaitAckedWaitsInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memory.New(memory.Config{})
		h, end, done := run(q)
		s := next(t, h)
		go func() {
			time.Sleep(time.Hour)
			q.Publish(queue.Message{Value: []byte("late")})
		}()
		go func() {
			ds := fetch(t, s)
			time.Sleep(time.Hour)
			ds[0].Ack()
			ds[0].Free()
		}()
		began := time.Now()
		if err := q.WaitAcked(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited != 2*time.Hour {
			t.Errorf("waited %v", waited)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := q.WaitAcked(short, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a message that never comes: %v", err)
		}
		end(&queue.End{Reason: queue.Stopping})
		s.Finish(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What is acknowledged must not stay in memory, and positions must stay right
// while the log drops its beginning.
func TestTheLogForgetsWhatIsAcknowledged(t *testing.T) {
	t.Parallel()
	q := memory.New(memory.Config{Bounded: true})
	const n = 30_000
	for i := range n {
		q.Publish(queue.Message{Value: fmt.Appendf(nil, "%d", i)})
	}
	h, _, done := run(q)
	s := next(t, h)
	var kept []*queue.Delivery
	for i := 0; i < n; {
		ds := fetch(t, s)
		for _, d := range ds {
			if got := string(d.Message().Value); got != fmt.Sprint(i) || d.Message().Position != int64(i)+1 {
				t.Fatalf("message %d is %q at position %d", i, got, d.Message().Position)
			}
			if i%5000 == 4999 {
				kept = append(kept, d)
			} else {
				d.Ack()
			}
			i++
		}
	}
	if st := s.Status(); st.Committed != 4999 || st.Unsettled != 6 || st.Lag != 6 {
		t.Errorf("status with every 5000th message out: %+v", st)
	}
	for _, d := range kept {
		d.Ack()
	}
	if st := s.Status(); st.Committed != n || st.Lag != 0 {
		t.Errorf("status at the end: %+v", st)
	}
	s.Finish(io.EOF)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestASecondConsumerIsRefused(t *testing.T) {
	t.Parallel()
	q := memory.New(memory.Config{})
	h, end, done := run(q)
	s := next(t, h)
	if err := q.Run(t.Context(), h); err == nil {
		t.Error("a second Run was accepted")
	}
	end(&queue.End{Reason: queue.Stopping})
	s.Finish(nil)
	<-done
}

func BenchmarkFetchAndAck(b *testing.B) {
	q := memory.New(memory.Config{Bounded: true})
	v := make([]byte, 1024)
	ms := make([]queue.Message, b.N)
	for i := range ms {
		ms[i].Value = v
	}
	q.Publish(ms...)
	h, _, done := run(q)
	s, err := h.Next(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for {
		ds, err := s.Fetch(b.Context(), queue.Room{Messages: 512, Bytes: 1 << 30})
		if err != nil {
			break
		}
		for _, d := range ds {
			d.Ack()
			d.Free()
		}
	}
	s.Finish(io.EOF)
	<-done
}
