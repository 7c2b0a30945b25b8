package memory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
)

func letters(values ...string) []queue.Message {
	ms := make([]queue.Message, len(values))
	for i, v := range values {
		ms[i].Value = []byte(v)
	}
	return ms
}

func TestSinkKeepsOrderAndCopies(t *testing.T) {
	t.Parallel()
	s := memory.NewSink("letters")
	ms := letters("a", "b")
	if errs := s.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	ms[0].Value[0] = 'x'
	if err := s.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got := s.Messages(); string(got[0].Value) != "a" || string(got[1].Value) != "b" {
		t.Errorf("stored %q and %q", got[0].Value, got[1].Value)
	}
}

func TestSinkFailsAsTold(t *testing.T) {
	t.Parallel()
	s := memory.NewSink("letters")
	full := errors.New("full")
	s.FailNext(1, full)
	s.Limit(3)
	errs := s.Put(t.Context(), letters("a", "b", "long"))
	if len(errs) != 3 || !errors.Is(errs[0], full) || errs[1] != nil || errs[2] == nil {
		t.Fatalf("errors %v, want full, nil and too long", errs)
	}
	if got := s.Messages(); len(got) != 1 || string(got[0].Value) != "b" {
		t.Errorf("stored %d messages", len(got))
	}
}

func TestABlockedSinkWaits(t *testing.T) {
	t.Parallel()
	s := memory.NewSink("letters")
	open := s.Block()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := s.Put(gone, letters("a")); len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("put with a cancelled context: %v", errs)
	}
	stored := make(chan []error)
	go func() { stored <- s.Put(t.Context(), letters("b")) }()
	open()
	if errs := <-stored; errs != nil {
		t.Error(errs)
	}
	if got := s.Messages(); len(got) != 1 {
		t.Errorf("stored %d messages, want only the one that waited", len(got))
	}
}
