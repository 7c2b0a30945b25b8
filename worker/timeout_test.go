package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheContextOfAFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the call was abandoned")
		parent, cancel := context.WithCancelCause(context.WithValue(context.Background(), keyOfTest{}, "v"))
		begin := func() *timeout { return &timeout{parent: parent, limit: time.Now().Add(time.Second)} }

		early := begin()
		if d, ok := early.Deadline(); !ok || d != time.Now().Add(time.Second) {
			t.Errorf("the deadline is %v, %v", d, ok)
		}
		if early.ctx != nil {
			t.Error("asking for the deadline made a timer")
		}
		if early.Err() != nil || early.Value(keyOfTest{}) != "v" {
			t.Errorf("a fresh context has %v and the value %v", early.Err(), early.Value(keyOfTest{}))
		}
		derived, end := context.WithTimeout(early, time.Hour)
		defer end()
		time.Sleep(time.Second)
		<-derived.Done()
		if !errors.Is(early.Err(), context.DeadlineExceeded) || !errors.Is(derived.Err(), context.DeadlineExceeded) {
			t.Errorf("after the limit: %v, derived %v", early.Err(), derived.Err())
		}

		over := begin()
		over.end()
		<-over.Done()
		if !errors.Is(over.Err(), context.Canceled) {
			t.Errorf("after the Flush: %v", over.Err())
		}

		used := begin()
		watched := make(chan struct{})
		context.AfterFunc(used, func() { close(watched) })
		used.end()
		<-watched

		cut := begin()
		done := cut.Done()
		cancel(cause)
		<-done
		if !errors.Is(cut.Err(), context.Canceled) || !errors.Is(context.Cause(cut), cause) {
			t.Errorf("after the instance was given up: %v because of %v", cut.Err(), context.Cause(cut))
		}
		cut.end()
	})
}

type keyOfTest struct{}
