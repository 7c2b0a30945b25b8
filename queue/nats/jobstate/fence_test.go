package jobstate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats/jobstate"
	"github.com/flushline/flushline/test/natsbroker"
)

// A holder that was taken for dead saves over what the next one stored: it has lost the
// shard, and what is stored stays.
func TestASaveOverAnotherClaimIsRefused(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	conn := b.Connect()
	st := open(t, conn, "nightly")
	publish(t, st, "a")
	l := claim(t, st)
	if err := l.Save(t.Context(), []byte("first")); err != nil {
		t.Fatal(err)
	}
	kv, err := b.JetStream(conn).KeyValue(t.Context(), jobstate.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	const theirs = `{"holder":"another","claim":"theirs","write":1,"lease":1000000000}` + "\nsecond"
	if _, err := kv.Put(t.Context(), "nightly.shard.0", []byte(theirs)); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(t.Context(), []byte("late")); !errors.Is(err, job.ErrLost) {
		t.Fatalf("the old holder's save returned %v, want ErrLost", err)
	}
	<-l.Lost()
	stored, err := kv.Get(t.Context(), "nightly.shard.0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(stored.Value()), "\nsecond") {
		t.Errorf("stored is %q", stored.Value())
	}
}
