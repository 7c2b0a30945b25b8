package letterbox

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/test/natsbroker"
)

func asMissing(err error, to **queue.MissingError) bool { return errors.As(err, to) }

// anew deletes the stream and makes it again.
func (r *rig) anew() {
	r.Helper()
	if err := r.Remove(); err != nil {
		r.Fatal(err)
	}
	if _, err := nats.Setup(r.Context(), r.conn, r.cfg, nats.SetupOptions{DeadLetters: true}); err != nil {
		r.Fatal(err)
	}
}

// New letters that lie where old ones lay are not taken for them, whichever box resolves.
func TestLettersOfAnEarlierStreamAreNotResolved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("old1", "old2")
	before := r.box()
	old := r.read(before)
	r.anew()
	r.put("new1", "new2")
	for what, box := range map[string]*Box{"that read them": before, "that read nothing": r.box()} {
		err := box.Resolve(t.Context(), old)
		if err == nil || !strings.Contains(err.Error(), "made anew") {
			t.Errorf("the box %s: %v", what, err)
		}
	}
	both := r.box()
	r.read(both)
	if err := both.Resolve(t.Context(), old[1:]); err == nil || !strings.Contains(err.Error(), old[1].Name()) {
		t.Errorf("the box that read the new ones: %v", err)
	}
	all := r.shows("new1", "new2")
	if err := both.Resolve(t.Context(), all[:1]); err != nil {
		t.Error(err)
	}
	r.shows("new2")
}

// The stream is made anew between two letters of one call: the second stays.
func TestAStreamThatIsMadeAnewWhileLettersAreResolved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("old1", "old2")
	box := r.box()
	k := &keeper{box: box}
	old := r.read(box)
	if err := box.remove(t.Context(), k, old[0].Places[0]); err != nil {
		t.Fatal(err)
	}
	r.anew()
	r.put("new1", "new2")
	k.at = k.at.Add(-confirmEach) // a second later
	if err := box.remove(t.Context(), k, old[1].Places[0]); !errors.Is(err, errAnew) {
		t.Errorf("removed from another stream: %v", err)
	}
	r.shows("new1", "new2")
}

// A server whose clock was set back has letters that are older than their stream.
func TestLettersOlderThanTheirStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("a", "b")
	box := r.box()
	all := r.read(box)
	info, err := box.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info.Created = info.Created.Add(time.Hour)
	if err := box.same(t.Context(), all[0], info); err != nil {
		t.Errorf("the letter that lies there: %v", err)
	}
	other := *all[0]
	other.Time = other.Time.Add(-time.Minute)
	if err := box.same(t.Context(), &other, info); !errors.Is(err, errAnew) {
		t.Errorf("another letter that lay there: %v", err)
	}
	r.delete(1)
	if err := box.same(t.Context(), &other, info); err != nil {
		t.Errorf("a letter that is gone: %v", err)
	}
}

// What a put left that failed halfway can be forgotten once nothing can follow any more.
func TestWhatAFailedPutLeftIsResolvedLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large := message("")
	large.Value = make([]byte, 3000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large.Value) // never fails
	pieces, err := queue.Split(large, 900, func(m *queue.Message) int { return int(m.Size()) })
	if err != nil || len(pieces) < 3 {
		t.Fatal(len(pieces), err)
	}
	s, _, err := r.Sink()
	if err != nil {
		t.Fatal(err)
	}
	for i := range pieces {
		pieces[i].Subject = lane.String()
	}
	if errs := s.Put(t.Context(), pieces[:2]); errs != nil {
		t.Fatal(errs)
	}
	box := r.box()
	left := r.read(box)
	if len(left) != 1 || left[0].Damage == nil {
		t.Fatalf("%d letters", len(left))
	}
	begin := left[0].Time
	box.now = func(*jetstream.StreamInfo) time.Time { return begin.Add(queue.ArrivalBound - time.Second) }
	if err := box.Resolve(t.Context(), left); err == nil || len(r.read(r.box())) != 1 {
		t.Errorf("it was resolved while chunks may come: %v", err)
	}
	box.now = func(*jetstream.StreamInfo) time.Time { return begin.Add(queue.ArrivalBound) }
	if err := box.Resolve(t.Context(), left); err != nil {
		t.Error(err)
	}
	r.shows()
}

// The line breaks while letters are read and while they are resolved.
func TestALineThatBreaksCostsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var names []string
	for i := range 200 {
		names = append(names, string(rune('a'+i%26)))
	}
	r.put(names...)
	line := &natsbroker.Line{}
	box := New(r.Connect(natsgo.SetCustomDialer(line)), r.cfg.List()[0])
	n := 0
	err := box.Letters(t.Context(), func(l *queue.Letter) error {
		if n++; n%50 == 25 {
			line.Cut()
			time.AfterFunc(100*time.Millisecond, line.Mend)
			return box.Resolve(t.Context(), []*queue.Letter{l})
		}
		return nil
	})
	if err != nil || n != len(names) {
		t.Errorf("%d letters, %v; want %d", n, err, len(names))
	}
	if all := r.read(r.box()); len(all) != len(names)-4 {
		t.Errorf("%d letters are left, want %d", len(all), len(names)-4)
	}
}

// A server that stays away is told of, and an interrupted wait ends.
func TestAServerThatIsAwaySaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("a")
	box := r.box()
	all := r.read(box)
	r.Stop()
	box.wait = 2 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	if err := box.Letters(ctx, func(*queue.Letter) error { return nil }); err == nil {
		t.Error("letters were read without a server")
	}
	err := box.Resolve(t.Context(), all)
	if err == nil || !strings.Contains(err.Error(), dlq) {
		t.Errorf("resolved without a server: %v", err)
	}
	r.Start()
	r.shows("a")
}

// The first chunk says which letter it is, so it is removed last: what a crash leaves of a
// letter can be named, and resolved again.
func TestTheFirstChunkIsRemovedLast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large := message("")
	large.Value = make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(large.Value) // never fails
	s, _, err := r.Sink()
	if err != nil {
		t.Fatal(err)
	}
	if errs := s.Put(t.Context(), []queue.Message{large}); errs != nil {
		t.Fatal(errs)
	}
	asked := make(chan int64, 100)
	sub, err := r.conn.NATS().Subscribe(r.conn.APIPrefix()+"STREAM.MSG.DELETE."+dlq, func(m *natsgo.Msg) {
		var req struct {
			Seq int64 `json:"seq"`
		}
		if err := json.Unmarshal(m.Data, &req); err != nil {
			t.Error(err)
		}
		asked <- req.Seq
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.conn.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	box := r.box()
	all := r.read(box)
	if len(all) != 1 || len(all[0].Places) < 3 {
		t.Fatalf("%d letters", len(all))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- box.Resolve(ctx, all) }()
	for i := len(all[0].Places) - 1; i >= 0; i-- {
		select {
		case seq := <-asked:
			if seq != all[0].Places[i].Position {
				t.Errorf("sequence %d is removed, want %d", seq, all[0].Places[i].Position)
			}
		case <-time.After(time.Minute):
			t.Fatalf("sequence %d is not removed", all[0].Places[i].Position)
		}
		cancel()
	}
	if err := <-ended; err != nil {
		t.Errorf("a letter that had begun to go when the call was interrupted: %v", err)
	}
	r.shows()
	if err := r.box().Resolve(ctx, all); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was interrupted before it began: %v", err)
	}
	if err := sub.Drain(); err != nil {
		t.Error(err)
	}
}
