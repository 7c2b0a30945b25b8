package flushertest_test

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/flushline/flushline/flushers"
)

// failingCheats are those that say the wrong thing when something is wrong.
func failingCheats() []cheat {
	const initFails = "a failed Init leaves nothing behind"
	const classes = "errors have the class that decides what happens next"
	const partial = "a partial failure names what failed"
	const atomic = "a failed Flush of an atomic kind wrote nothing"
	return []cheat{
		{"leaves a goroutine when Init fails", bend(func(f *bent) { f.init = initWith(leaveGoroutine) }), initFails, "after a failed Init there is still a goroutine", nil},
		{"leaves a connection when Init fails", bend(func(f *bent) { f.init = initWith(leaveConnection) }), initFails, "after a failed Init there is still a connection", nil},
		{"leaves a file when Init fails", bend(func(f *bent) { f.init = initWith(leaveFile) }), initFails, "there is still an open file", nil},
		{"begins with any options", bend(func(f *bent) { f.init = ignoreOptions }), initFails, "succeeds with options of Target.InitFails", nil},
		{"panics in Init", bend(func(f *bent) { f.init = func(*bent, flushers.Context) error { panic("boom") } }), initFails, "Init panicked: boom", nil},

		{"refuses data for good when nobody answers", answering(flushers.ClassRetry, flushers.Permanent), classes, "the destination cannot be reached, and Flush returned an error of class permanent", nil},
		{"takes a destination that is down for a mistake", answering(flushers.ClassRetry, flushers.Misconfigured), classes, "cannot be reached, and Flush returned an error of class misconfigured", nil},
		{"takes a refusal for success", answering(flushers.ClassRetry, nothing), classes, "class retry is needed, and Flush returned class none", nil},
		{"tries wrong credentials again", answering(flushers.ClassMisconfigured, again), classes, "class misconfigured is needed, and Flush returned class retry", nil},
		{"takes wrong credentials for bad data", answering(flushers.ClassMisconfigured, flushers.Permanent), classes, "class misconfigured is needed, and Flush returned class permanent", nil},
		{"does not say how long to wait", answering(flushers.ClassRetryAfter, again), classes, "class retry_after is needed, and Flush returned class retry", nil},
		{"tries bad data again", answering(flushers.ClassPermanent, again), classes, "class permanent is needed, and Flush returned class retry", nil},
		{"takes bad data for a mistake", answering(flushers.ClassPermanent, flushers.Misconfigured), classes, "class permanent is needed, and Flush returned class misconfigured", nil},
		{"tries what is too large again", answering(flushers.ClassTooLarge, again), classes, "class too_large is needed, and Flush returned class retry", nil},
		{"takes what is too large for bad data", answering(flushers.ClassTooLarge, flushers.Permanent), classes, "class too_large is needed, and Flush returned class permanent", nil},
		{"says nothing in its errors", answering(flushers.ClassRetry, func(error) error { return errors.New("") }), classes, "it has no text", nil},

		{"names the next group", blaming(func(i int) int { return (i + 1) % 5 }, keep), partial, "which has nothing wrong", nil},
		{"names a group that is not there", blaming(func(i int) int { return i + 5 }, keep), partial, "names group 7 of 5", nil},
		{"names a group below the first", blaming(func(i int) int { return -i - 1 }, keep), partial, "names group -3 of 5", nil},
		{"names a group without an error", blaming(same, nothing), partial, "names group 2 without an error", nil},
		{"names a group with a part of it", blaming(same, func(error) error { return &flushers.PartialError{} }), partial, "has a PartialError for group 2", nil},
		{"takes poison", blaming(nil, nothing), partial, "group 2 is poisoned, and Flush said that it is stored", nil},
		{"drops poison", partly(func(*bent, *flushers.PartialError) error { return nil }), partial, "Flush returned nil for a batch with a poisoned group", nil},
		{"tries poison again", blaming(same, again), partial, "Flush still fails", nil},
		{"refuses a batch for one group", partly(refuseAll), partial, "which has nothing wrong", nil},
		{"wraps a PartialError into a class", partly(func(_ *bent, e *flushers.PartialError) error { return flushers.Permanent(e) }), partial, "a PartialError within an error of class permanent", nil},
		{"names the group at which it stopped only", bend(func(f *bent) { f.flush = stopAtFirst }), partial, "a PartialError does not name the group: the log", nil},
		{"declares Atomic and names what failed", with(bend(asIs), declareAtomic), partial, "a PartialError says that groups of a failed Flush are stored", nil},

		{"declares Atomic and stores a part", with(bend(func(f *bent) { f.flush = failAfterPart }), declareAtomic), atomic, "Flush of an atomic kind failed, and the log", nil},
		{"declares Atomic and fails after it stored", with(bend(func(f *bent) { f.flush = failAfterAll }), declareAtomic), atomic, "Flush of an atomic kind failed, and the log", nil},
	}
}

func declareAtomic(k *flushers.Kind) { k.Atomic = true }

// initWith opens something before what is shared, and leaves it when that fails.
func initWith(open func(*bent)) func(*bent, flushers.Context) error {
	return func(f *bent, c flushers.Context) error {
		open(f)
		return f.honest.Init(c)
	}
}

// kept is what the cheats of a process leave, so that nothing closes it.
var kept []any

func leaveGoroutine(*bent) {
	go func() { select {} }()
}

func leaveConnection(f *bent) {
	c, err := net.Dial("tcp", f.URL[len("http://"):])
	if err == nil {
		kept = append(kept, c)
	}
}

func leaveFile(*bent) {
	f, err := os.Open(os.Args[0])
	if err == nil {
		kept = append(kept, f)
	}
}

func ignoreOptions(f *bent, c flushers.Context) error {
	if f.honest.Init(c) != nil {
		f.URL = "http://127.0.0.1:1"
		return f.honest.Init(c)
	}
	return nil
}

func nothing(error) error { return nil }

func keep(err error) error { return err }

func again(err error) error { return errors.New(err.Error()) }

func same(i int) int { return i }

// answering makes something else of the errors of one class.
func answering(class flushers.Class, as func(error) error) flushers.Kind {
	return bend(func(f *bent) {
		f.flush = func(f *bent, ctx context.Context, b *flushers.Batch) error {
			err := f.honest.FlushBatch(ctx, b)
			if got, _ := flushers.Classify(err); err != nil && got == class {
				return as(err)
			}
			return err
		}
	})
}

// partly makes something else of a PartialError.
func partly(as func(*bent, *flushers.PartialError) error) flushers.Kind {
	return bend(func(f *bent) {
		f.flush = func(f *bent, ctx context.Context, b *flushers.Batch) error {
			err := f.honest.FlushBatch(ctx, b)
			var partial *flushers.PartialError
			if !errors.As(err, &partial) {
				return err
			}
			return as(f, partial)
		}
	})
}

// blaming names other groups, or none, and other errors.
func blaming(which func(int) int, why func(error) error) flushers.Kind {
	return partly(func(_ *bent, e *flushers.PartialError) error {
		failed := map[int]error{}
		for i, err := range e.Failed {
			if which != nil {
				failed[which(i)] = why(err)
			}
		}
		return &flushers.PartialError{Failed: failed}
	})
}

func refuseAll(*bent, *flushers.PartialError) error {
	failed := map[int]error{}
	for i := range 5 {
		failed[i] = flushers.Permanent(errors.New("one group is poisoned"))
	}
	return &flushers.PartialError{Failed: failed}
}

// stopAtFirst posts group by group, and does not say what it did not try.
func stopAtFirst(f *bent, ctx context.Context, b *flushers.Batch) error {
	for i, g := range f.copied(b).Groups {
		if err := f.post(ctx, &request{Groups: []group{g}}); err != nil {
			return &flushers.PartialError{Failed: map[int]error{i: flushers.Permanent(err)}}
		}
	}
	return nil
}

// failAfterPart posts group by group and fails as a whole.
func failAfterPart(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, g := range f.copied(b).Groups {
		var partial *flushers.PartialError
		if err := f.post(ctx, &request{Groups: []group{g}}); errors.As(err, &partial) {
			return partial.Failed[0]
		} else if err != nil {
			return err
		}
	}
	return nil
}

// failAfterAll posts what is poisoned as if it was not, and fails.
func failAfterAll(f *bent, ctx context.Context, b *flushers.Batch) error {
	poisoned := false
	r := each(f.copied(b), func(l *log) {
		poisoned = poisoned || l.Fields[poison] != ""
		delete(l.Fields, poison)
	})
	if err := f.post(ctx, r); err != nil || !poisoned {
		return err
	}
	return flushers.Permanent(errors.New("a group is poisoned"))
}
