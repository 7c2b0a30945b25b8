package jobstate_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats/jobstate"
	"github.com/flushline/flushline/test/natsbroker"
)

// The bucket has the replicas of the source's stream, and a shard outlives the server
// that led the bucket.
func TestAClusterThatLosesTheBucketsLeader(t *testing.T) {
	t.Parallel()
	all := natsbroker.Cluster(t)
	conn, _ := natsbroker.ConnectAll(t, all)
	js := all[0].JetStream(conn)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	opt := jobstate.Options{Lease: 5 * time.Second, Like: "LOGS"}
	st, err := jobstate.Open(t.Context(), conn, jobstate.Bucket, "nightly", opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	publish(t, st, "a", "b")
	l := claim(t, st)
	if err := l.Save(t.Context(), []byte("before")); err != nil {
		t.Fatal(err)
	}
	bucket, err := js.Stream(t.Context(), "KV_"+jobstate.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	info := bucket.CachedInfo()
	if info.Config.Replicas != 3 {
		t.Errorf("the bucket has %d replicas, want those of the stream", info.Config.Replicas)
	}
	for _, b := range all {
		if b.Name() == info.Cluster.Leader {
			b.Stop()
		}
	}
	until(t, "a save without the leader", func() bool {
		err := l.Save(t.Context(), []byte("after"))
		if errors.Is(err, job.ErrLost) {
			t.Fatal(err)
		}
		return err == nil
	})
	if got := checkpoint(t, st); got != "after" {
		t.Errorf("checkpoint is %q", got)
	}
	if got, err := st.Piece(t.Context(), 1); err != nil || string(got) != "b" {
		t.Errorf("piece %q, %v", got, err)
	}
	stays(t, l)
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}
