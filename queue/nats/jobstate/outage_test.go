package jobstate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/jobstate"
	"github.com/flushline/flushline/test/natsbroker"
)

func open(t *testing.T, conn *nats.Conn, name string) job.State {
	t.Helper()
	st, err := jobstate.Open(t.Context(), conn, jobstate.Bucket, name, jobstate.Options{Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func publish(t *testing.T, st job.State, pieces ...string) {
	t.Helper()
	all := func(yield func([]byte, error) bool) {
		for _, p := range pieces {
			if !yield([]byte(p), nil) {
				return
			}
		}
	}
	if err := st.Publish(t.Context(), all, func(int) ([]byte, error) { return []byte("{}"), nil }); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, st job.State) job.Lease {
	t.Helper()
	l, err := st.Claim(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func checkpoint(t *testing.T, st job.State) string {
	t.Helper()
	got, err := st.Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func stays(t *testing.T, l job.Lease) {
	t.Helper()
	select {
	case <-l.Lost():
		t.Error("the shard was lost to nobody")
	default:
	}
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for begin := time.Now(); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// A save that is stored but whose answer never comes is our own, not another
// process's.
func TestALostAnswerIsFoundOut(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	other := open(t, b.Connect(), "nightly")
	line := new(natsbroker.Line)
	st := open(t, b.Connect(natsgo.SetCustomDialer(line)), "nightly")
	l := claim(t, st)
	for _, value := range []string{"one", "two"} {
		line.Mute()
		err := l.Save(t.Context(), []byte(value))
		if err == nil || errors.Is(err, job.ErrLost) {
			t.Fatalf("save without an answer: %v", err)
		}
		if got := checkpoint(t, other); got != value {
			t.Fatalf("checkpoint is %q: the save did not arrive, so this shows nothing", got)
		}
		line.Cut()
		line.Mend()
		next := value + " and more"
		until(t, "the next save", func() bool {
			err = l.Save(t.Context(), []byte(next))
			return err == nil || errors.Is(err, job.ErrLost)
		})
		if got := checkpoint(t, other); err != nil || got != next {
			t.Fatalf("checkpoint is %q and the save %v, want %q", got, err, next)
		}
	}
	stays(t, l)
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An outage longer than the lease ends no job, and nobody takes the shard at its
// end.
func TestAnOutageLongerThanTheLease(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	const lease = 3 * time.Second // both need a moment to connect again
	var sts [2]job.State
	for i := range sts {
		var err error
		if sts[i], err = jobstate.Open(t.Context(), b.Connect(), jobstate.Bucket, "nightly", jobstate.Options{Lease: lease}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sts[i].Close() })
	}
	st, other := sts[0], sts[1]
	l := claim(t, st)
	if err := l.Save(t.Context(), []byte("before")); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	time.Sleep(lease + lease/6) // the outage itself
	if err := l.Save(t.Context(), []byte("never")); err == nil || errors.Is(err, job.ErrLost) {
		t.Errorf("save without a server: %v", err)
	}
	b.Start()
	var held *job.HeldError
	until(t, "an answer to the claim of another", func() bool {
		_, err := other.Claim(t.Context(), 0)
		if err == nil {
			t.Fatal("the shard of a holder that lives was taken")
		}
		return errors.As(err, &held)
	})
	if err := l.Save(t.Context(), []byte("after")); err != nil {
		t.Error(err)
	}
	if got := checkpoint(t, other); got != "after" {
		t.Errorf("checkpoint is %q", got)
	}
	stays(t, l)
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAttemptsLeaveIsRemoved(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	conn := b.Connect()
	st := open(t, conn, "nightly")
	kv, err := b.JetStream(conn).KeyValue(t.Context(), jobstate.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"nightly.piece.DIED.0", "nightly.piece.DIED.1", "nightly.piece.OTHER.0", "weekly.piece.DIED.0"} {
		if _, err := kv.Put(t.Context(), key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, st, "a", "b")
	keys := func() []string {
		lister, err := kv.ListKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for key := range lister.Keys() {
			parts := strings.Split(key, ".")
			if len(parts) == 4 && parts[0] == "nightly" {
				parts[2] = "ATTEMPT"
			}
			all = append(all, strings.Join(parts, "."))
		}
		slices.Sort(all)
		return all
	}
	want := []string{"nightly.manifest", "nightly.piece.ATTEMPT.0", "nightly.piece.ATTEMPT.1", "weekly.piece.DIED.0"}
	if got := keys(); !slices.Equal(got, want) {
		t.Errorf("the bucket has %v, want %v", got, want)
	}
	if err := st.Publish(t.Context(), nil, nil); !errors.Is(err, job.ErrBegun) {
		t.Errorf("a second publish: %v", err)
	}
	publish(t, open(t, conn, "weekly"))
	if names, err := jobstate.ListJobs(t.Context(), conn, jobstate.Bucket); err != nil || !slices.Equal(names, []string{"nightly", "weekly"}) {
		t.Errorf("jobs %v, %v", names, err)
	}
	if err := st.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := keys(); !slices.Equal(got, []string{"weekly.manifest"}) {
		t.Errorf("after the removal the bucket has %v", got)
	}
	if names, err := jobstate.ListJobs(t.Context(), conn, "nothing"); err != nil || names != nil {
		t.Errorf("jobs of a bucket that does not exist: %v, %v", names, err)
	}
}

// A dead holder's shard is free for a removal as well.
func TestAJobOfTheDeadIsRemoved(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	st := open(t, b.Connect(), "nightly")
	publish(t, st)
	claim(t, st)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	other := open(t, b.Connect(), "nightly")
	if err := other.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Manifest(t.Context()); got != nil || err != nil {
		t.Errorf("manifest %q, %v", got, err)
	}
}

func TestBucketsThatLoseJobsAreRefused(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	conn := b.Connect()
	for bucket, c := range map[string]struct {
		config jetstream.KeyValueConfig
		want   string
	}{
		"ages":   {jetstream.KeyValueConfig{TTL: time.Hour}, "nats stream edit KV_ages --max-age 0"},
		"small":  {jetstream.KeyValueConfig{MaxValueSize: 1000}, "nats stream edit KV_small --max-msg-size"},
		"memory": {jetstream.KeyValueConfig{Storage: jetstream.MemoryStorage}, "kept in memory"},
	} {
		c.config.Bucket = bucket
		if _, err := b.JetStream(conn).CreateKeyValue(t.Context(), c.config); err != nil {
			t.Fatal(err)
		}
		if _, err := jobstate.Open(t.Context(), conn, bucket, "nightly", jobstate.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", bucket, err, c.want)
		}
	}
	if _, err := jobstate.Open(t.Context(), conn, "jobs", "a.b", jobstate.Options{}); err == nil {
		t.Error("a name with a dot is taken")
	}
	if _, err := jobstate.Open(t.Context(), conn, "jobs", "nightly", jobstate.Options{Like: "NOTHING"}); err == nil || !strings.Contains(err.Error(), "NOTHING") {
		t.Errorf("replicas of a stream that does not exist: %v", err)
	}
	small := natsbroker.Start(t, func(o *server.Options) { o.MaxPayload = 512 << 10 })
	if _, err := jobstate.Open(t.Context(), small.Connect(), "jobs", "nightly", jobstate.Options{}); err == nil || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("a server with a small max_payload: %v", err)
	}
}

func TestWhatIsNotOursIsNotUsed(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	conn := b.Connect()
	st := open(t, conn, "nightly")
	kv, err := b.JetStream(conn).KeyValue(t.Context(), jobstate.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"", "{}", "{}\n", "x\ny", `{"claim":"a"}`} {
		if _, err := kv.Put(t.Context(), "nightly.shard.0", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := st.Checkpoint(t.Context(), 0); err == nil {
			t.Errorf("%q was read as a shard with checkpoint %q", value, got)
		}
		if _, err := st.Claim(t.Context(), 0); err == nil {
			t.Errorf("%q was claimed", value)
		}
		if _, err := kv.Put(t.Context(), "nightly.manifest", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := st.Manifest(t.Context()); err == nil && value != "x\ny" {
			t.Errorf("%q was read as manifest %q", value, got)
		}
	}
	// What somebody deleted by hand is not there.
	if err := errors.Join(kv.Delete(t.Context(), "nightly.manifest"), kv.Purge(t.Context(), "nightly.shard.0")); err != nil {
		t.Fatal(err)
	}
	publish(t, st, "a")
	l := claim(t, st)
	if err := l.Save(t.Context(), []byte("new")); err != nil || checkpoint(t, st) != "new" {
		t.Errorf("after a deletion by hand: %v", err)
	}
	if err := l.Save(t.Context(), make([]byte, job.MaxValue+1)); err == nil {
		t.Error("a checkpoint larger than MaxValue was taken")
	}
	if err := kv.Delete(t.Context(), "nightly.shard.0"); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(t.Context(), []byte("late")); !errors.Is(err, job.ErrLost) {
		t.Errorf("a save after the shard was deleted: %v", err)
	}
	<-l.Lost()
}
