package e2e

import (
	"fmt"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// judge compares what was confirmed with what is stored.
func (r *run) judge() *Result {
	r.Helper()
	book, err := ledger.LoadBook(r.path)
	if err != nil {
		r.Fatal(err)
	}
	records, err := r.to.Stored()
	if err != nil {
		r.Fatalf("what is stored cannot be read: %v", err)
	}
	count := ledger.NewCount(book, nil)
	for i := range records {
		count.See(r.sighting(&records[i]))
	}
	v := count.Verdict()
	r.Logf("%d workers, %d killed, %d groups published\n%s", r.lives, r.killed, book.Confirmed(), v)
	r.sentence(v)
	most, _ := r.mayComeTwice()
	return &Result{Groups: book.Confirmed(), Lives: r.lives, Killed: r.killed, Outages: r.outages, Verdict: v, MostCopies: most}
}

// sentence says what the verdict means.
func (r *run) sentence(v *ledger.Verdict) {
	r.Helper()
	if r.held == 0 {
		r.Error("no kill met a message that was held: nothing was shown")
	}
	if v.Spurious.Count > 0 {
		r.Errorf("%d logs are stored that nobody published", v.Spurious.Count)
	}
	if v.Corrupt.Count > 0 {
		r.Errorf("%d logs are stored otherwise than they were published", v.Corrupt.Count)
	}
	if v.Lost.Count > v.Corrupt.Count { // what is stored otherwise is missing as it was, too
		r.Errorf("%d logs are lost: the worker acknowledged them, because Flush returned nil, and they are not stored; was nil returned before the destination said so, or in spite of an error?", v.Lost.Count)
	}
	if v.Confirmed == 0 {
		r.Error("nothing was published: nothing was shown")
	}
	most, why := r.mayComeTwice()
	r.Logf("duplicates: %d, at most %d: %s", v.Duplicates, most, why)
	if v.Duplicates > most {
		r.Errorf("%d logs are stored more often than once, at most %d may be: %s", v.Duplicates, most, why)
	}
	letters, err := r.queue.Letters(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	if letters > 0 {
		r.Errorf("%d groups became dead letters: Flush called them Permanent or TooLarge, and the destination takes them", letters)
	}
}

// mayComeTwice bounds the logs that may be stored more often than once.
func (r *run) mayComeTwice() (most int, why string) {
	killed := fmt.Sprintf("%d groups of up to %d logs were in the hands of a Flush, or stored and not acknowledged, when their worker was killed", r.open, r.load.Logs)
	switch r.kind.Idempotence {
	case flushers.PerGroup, flushers.PerLog:
		return 0, fmt.Sprintf("the kind declares %s", r.kind.Idempotence)
	case flushers.SameCall:
		return r.open * r.load.Logs, killed
	}
	return (r.open + r.failed) * r.load.Logs, fmt.Sprintf("%s; %d were in a Flush that failed", killed, r.failed)
}

// sighting is a record as the ledger takes it.
func (r *run) sighting(got *flushertest.Record) ledger.Sighting {
	s := ledger.Sighting{File: "what is stored"}
	id, group, log, ok := r.load.Sent(got.Fields[ledger.FieldID])
	if !ok {
		return s
	}
	s.ID, s.Known = id, true
	s.Key = r.load.Keys[id.Group%uint64(len(r.load.Keys))]
	what := differs(r.keeps(group, log, id.Log), *got)
	if s.Intact = what == ""; !s.Intact {
		s.File += ": " + what
	}
	return s
}

func (r *run) keeps(g *protocol.LogGroup, l *protocol.Log, index int) flushertest.Record {
	if r.to.Keeps != nil {
		return r.to.Keeps(g, l)
	}
	return flushertest.Records(g)[index]
}

// differs says how a stored log is not what was published; empty: it is. A
// destination may keep times to the second or the millisecond, or none, and fields
// of its own.
func differs(want, got flushertest.Record) string {
	for k, v := range want.Fields {
		if w, ok := got.Fields[k]; !ok {
			return fmt.Sprintf("the field %q is missing", k)
		} else if w != v {
			return fmt.Sprintf("the field %q is %.60q instead of %.60q", k, w, v)
		}
	}
	if got.Time.IsZero() || want.Time.IsZero() {
		return ""
	}
	for _, precision := range []time.Duration{1, time.Millisecond, time.Second} {
		if got.Time.Equal(want.Time.Truncate(precision)) {
			return ""
		}
	}
	return fmt.Sprintf("its time is %s instead of %s", got.Time, want.Time)
}
