package history

import (
	"context"

	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

// taken is what a request brought, in order: messages, and the gaps between them.
type taken struct {
	batch job.Batch
	gaps  []queue.Interval
	hole  bool // a delivery is missing: what came behind it is not taken
}

// pass says that there is nothing for us up to a position.
func (t *taken) pass(to int64) {
	if to > t.batch.Next {
		t.gaps = append(t.gaps, queue.Interval{From: t.batch.Next, To: to})
		t.batch.Next = to
	}
}

// sort takes messages up to the first that is not the next delivery, or that lies
// behind the slice.
func (r *reader) sort(ms []*natsgo.Msg) *taken {
	t := &taken{batch: job.Batch{Next: r.next, Messages: make([]queue.Message, 0, len(ms))}}
	for _, m := range ms {
		got, ok := nats.Receive(m)
		if !ok || got.Delivery != r.feed.delivered+1 || got.Message.Position < t.batch.Next {
			t.hole = true
			return t
		}
		r.feed.delivered = got.Delivery
		if got.Message.Position >= r.slice.To {
			t.pass(r.slice.To)
			return t
		}
		r.sizer.saw(int64(m.Size()))
		t.pass(got.Message.Position)
		t.add(&got)
	}
	return t
}

func (t *taken) add(got *nats.Received) {
	b := &t.batch
	if got.Origin != (queue.Origin{}) || b.Origins != nil {
		for len(b.Origins) < len(b.Messages) {
			b.Origins = append(b.Origins, queue.Origin{})
		}
		b.Origins = append(b.Origins, got.Origin)
	}
	b.Messages = append(b.Messages, got.Message)
	b.Next = got.Message.Position + 1
}

// account tells what expired from what was deleted or was not for us. If the stream
// cannot be asked, what comes before the first gap is kept and the rest read again.
func (r *reader) account(ctx context.Context, t *taken) error {
	if len(t.gaps) == 0 {
		return nil
	}
	if t.gaps[len(t.gaps)-1].To > r.first { // else it is known to be all expired
		if _, err := r.look(ctx); err != nil {
			if !t.cut() {
				return err
			}
			r.drop()
			return nil
		}
	}
	var expired, absent int64
	for _, g := range t.gaps {
		gone := min(max(r.first, g.From), g.To) - g.From
		expired += gone
		absent += g.To - g.From - gone
	}
	t.batch.Passed = map[string]int64{}
	if expired > 0 {
		t.batch.Passed[job.PassedExpired] = expired
	}
	if absent > 0 {
		t.batch.Passed[job.PassedAbsent] = absent
	}
	return nil
}

// cut takes away everything from the first gap on; false: nothing is left.
func (t *taken) cut() bool {
	at, n := t.gaps[0].From, 0
	for n < len(t.batch.Messages) && t.batch.Messages[n].Position < at {
		n++
	}
	t.batch.Messages = t.batch.Messages[:n]
	if t.batch.Origins != nil {
		t.batch.Origins = t.batch.Origins[:n]
	}
	t.batch.Next, t.gaps = at, nil
	return n > 0
}
