package flushertest_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func TestAnHonestKindPasses(t *testing.T) {
	t.Parallel()
	flushertest.Run(t, kindOf(newHonest), flushertest.Harness{Start: start(nil)})
}

func TestAKindWithFlushOnlyPasses(t *testing.T) {
	t.Parallel()
	k := kindOf(func() flushers.Flusher { return &plain{} })
	flushertest.Run(t, k, flushertest.Harness{Start: start(nil)})
}

func TestAKindThatPromisesMorePasses(t *testing.T) {
	t.Parallel()
	k := kindOf(func() flushers.Flusher { return &several{n: 4} })
	k.Idempotence, k.Atomic = flushers.PerGroup, true
	flushertest.Run(t, k, flushertest.Harness{Start: start(func(s *store) { s.once, s.whole = true, true })})
}

func TestAKindThatTakesBytesPasses(t *testing.T) {
	t.Parallel()
	k := kindOf(func() flushers.Flusher { return &bytesOnly{} })
	k.Raw = true
	flushertest.Run(t, k, flushertest.Harness{Start: start(nil)})
}

// What options make of a kind is what it is held to.
func TestAKindWhoseOptionsDeclarePasses(t *testing.T) {
	t.Parallel()
	k := kindOf(func() flushers.Flusher { return &declaresBytes{} })
	flushertest.Run(t, k, flushertest.Harness{Start: start(nil)})
}

type declaresBytes struct{ bytesOnly }

func (f *declaresBytes) Declare(k *flushers.Kind) { k.Raw = true }

func TestAKindThatEnqueuesPasses(t *testing.T) {
	t.Parallel()
	k := bend(func(f *bent) { f.flush, f.stop = enqueueForStop, postAtStop })
	k.Durability = flushers.Enqueued
	flushertest.Run(t, k, flushertest.Harness{Start: start(nil), Except: map[string]string{
		"errors have the class that decides what happens next": "an error comes after Flush has returned",
	}})
}

// A kind that does not declare NoRetain may read groups as long as it lives.
func TestAKindThatKeepsGroupsPasses(t *testing.T) {
	t.Parallel()
	k := bend(func(f *bent) { f.flush = keepFailed })
	k.NoRetain = false
	flushertest.Run(t, k, flushertest.Harness{Start: start(nil)})
}

// bytesOnly decodes what it is given.
type bytesOnly struct{ honest }

func (f *bytesOnly) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	decoded := *b
	for _, raw := range b.Raw {
		g := &protocol.LogGroup{}
		if err := g.Unmarshal(raw); err != nil {
			return flushers.Permanent(err)
		}
		decoded.Groups = append(decoded.Groups, g)
	}
	return f.honest.FlushBatch(ctx, &decoded)
}

// enqueueForStop keeps what is small: Stop has five seconds.
func enqueueForStop(f *bent, ctx context.Context, b *flushers.Batch) error {
	r := f.copied(b)
	if isLarge(r) {
		return f.post(ctx, r)
	}
	f.queue = append(f.queue, r)
	return nil
}

func isLarge(r *request) bool {
	if len(r.Groups) > 100 {
		return true
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		if len(g.Logs) > 100 || len(g.Logs) > 0 && isLong(&g.Logs[0]) {
			return true
		}
	}
	return false
}

func postAtStop(f *bent) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	var errs error
	for _, r := range f.queue {
		errs = errors.Join(errs, f.post(ctx, r))
	}
	return errors.Join(errs, f.end())
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	ns := uint32(5)
	g := &protocol.LogGroup{Logs: []*protocol.Log{
		{Time: 7, TimeNs: &ns, Contents: []*protocol.Log_Content{{Key: "a", Value: "x\ny"}, {Key: "b", Value: ""}}},
		{Time: 8},
	}}
	got, err := flushertest.JSONLines(protocol.AppendJSONLines(nil, g))
	if err != nil {
		t.Fatal(err)
	}
	want := flushertest.Records(g)
	for i := range want {
		if !got[i].Time.Equal(want[i].Time) || len(got[i].Fields) != len(want[i].Fields) || got[i].Fields["a"] != want[i].Fields["a"] {
			t.Errorf("record %d is %v, want %v", i, got[i], want[i])
		}
	}
	if _, err := flushertest.JSONLines([]byte(`{"contents":{"a":"b"}`)); err == nil {
		t.Error("a torn line is read without an error")
	}
}
