package nats

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/queue"
)

func TestTailsAreToldFromLanes(t *testing.T) {
	t.Parallel()
	for suffix, want := range map[string]string{
		"r.f.p.l.c":                 "",
		"r.f.p.chunk.c":             "",
		"r.f.chunk.chunk.chunk":     "",
		"r.f.long.0011":             "",
		"unrouted":                  "",
		"r.f.p.l.c.chunk.ab12":      "r.f.p.l.c",
		"r.f.p.chunk.c.chunk.ab12":  "r.f.p.chunk.c",
		"r.f.long.0011.chunk.ab12":  "r.f.long.0011",
		"chunk.f.p.l.chunk.chunk.1": "chunk.f.p.l.chunk",
	} {
		head, ok := headOf(suffix)
		if head != want || ok != (want != "") {
			t.Errorf("%s: the head is %q, %t", suffix, head, ok)
		}
		if want != "" && tailSubject(head, suffix[len(head)+len(tailToken):]) != suffix {
			t.Errorf("%s is not what its head and id make", suffix)
		}
	}
}

// Chunks without a record are removed when nobody can be about to store it.
func TestOrphansAreDueAfterTheirHeadCanNoLongerCome(t *testing.T) {
	t.Parallel()
	o := orphans{}
	now := time.Unix(1e9, 0)
	const lane, tail = "r.f.p.l.c", "r.f.p.l.c.chunk.1"
	at := func(after time.Duration, records uint64, tails ...string) []string {
		l := &listing{lanes: map[string]uint64{}, tails: map[string]uint64{}}
		if records > 0 {
			l.lanes[lane] = records
		}
		for _, s := range tails {
			l.tails[s] = 3
		}
		return o.due(l, now.Add(after))
	}
	for _, step := range []struct {
		after   time.Duration
		records uint64
		tails   []string
		want    []string
	}{
		{0, 0, []string{tail}, nil},
		{queue.ArrivalBound, 0, []string{tail}, nil},
		{orphanAge - time.Second, 1, []string{tail}, nil}, // a record came
		{orphanAge + time.Second, 0, []string{tail}, nil}, // and went: it counts anew
		{2 * orphanAge, 0, []string{tail}, nil},
		{2*orphanAge + 2*time.Second, 0, []string{tail}, []string{tail}},
		{2*orphanAge + 3*time.Second, 0, nil, nil},
	} {
		if diff := cmp.Diff(step.want, at(step.after, step.records, step.tails...)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.after, diff)
		}
	}
	if len(o) != 0 {
		t.Errorf("still remembered: %v", o)
	}
}

// A head is stored after all of its tails, and not at all without them.
func TestAHeadWaitsForItsTails(t *testing.T) {
	t.Parallel()
	whole := &tailSet{}
	tail, head, other := &put{set: whole}, &put{set: whole, head: true}, &put{}
	for _, p := range []*put{tail, head, other} {
		p.msg = &nats.Msg{}
	}
	if n := burst([]*put{tail, head, other}); n != 1 {
		t.Errorf("%d are published before the tail is known to be stored", n)
	}
	if n := burst([]*put{head, other}); n != 2 {
		t.Errorf("%d are published when it is, want both", n)
	}
	if head.hopeless() {
		t.Error("a head is hopeless although nothing failed")
	}
	whole.err = errors.New("full")
	if !head.hopeless() || head.result(0) == nil || other.hopeless() {
		t.Error("a head is stored although a tail was refused")
	}
	late := &put{set: &tailSet{}, head: true, final: true, cut: true}
	if late.result(time.Second) != nil || late.result(queue.ArrivalBound+time.Second) == nil {
		t.Error("a head that came after its tails may have been tidied up counts as stored")
	}
	chunk, alone := &put{final: true, cut: true}, &put{final: true}
	if !errors.Is(chunk.result(queue.ArrivalBound+time.Second), queue.ErrArrivedLate) || alone.result(queue.ArrivalBound+time.Second) != nil {
		t.Error("what stands under one subject is not held to the same")
	}
}
