package jobstate_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
)

// A holder that was frozen past its session saves behind the claim of the next one: it
// has lost the shard, and what it saved is nothing.
func TestASaveBehindAnotherClaimIsRefused(t *testing.T) {
	t.Parallel()
	f, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = f.ListenAddrs(), []string{"logs"}, "live"
	ls := &lines{of: map[job.State]*line{}}
	old, next := ls.open(t, &cfg, 1), ls.open(t, &cfg, 1)
	t.Cleanup(func() {
		if err := errors.Join(old.Close(), next.Close()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	begin(t, old)
	held, err := old.Claim(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Save(t.Context(), []byte("first")); err != nil {
		t.Fatal(err)
	}
	thaw := ls.of[old].freeze()
	taken, err := next.Claim(t.Context(), 0) // waits a session
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Save(t.Context(), []byte("second")); err != nil {
		t.Fatal(err)
	}
	thaw()
	if err := held.Save(t.Context(), []byte("of the frozen")); !errors.Is(err, job.ErrLost) {
		t.Errorf("the old holder's save returned %v, want ErrLost", err)
	}
	if got, err := next.Checkpoint(t.Context(), 0); string(got) != "second" || err != nil {
		t.Errorf("the checkpoint is %q and %v", got, err)
	}
	if err := taken.Save(t.Context(), []byte("third")); err != nil {
		t.Errorf("the new holder's save: %v", err)
	}
}
