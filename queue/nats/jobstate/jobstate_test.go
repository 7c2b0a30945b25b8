package jobstate_test

import (
	"os"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/job/jobtest"
	"github.com/flushline/flushline/queue/nats/jobstate"
	"github.com/flushline/flushline/test/natsbroker"
)

func TestMain(m *testing.M) {
	os.Exit(leak.Check(m.Run()))
}

// lease is long enough for a loaded machine to renew in time.
const lease = time.Second

func TestABucketKeepsAJob(t *testing.T) {
	t.Parallel()
	jobtest.Run(t, func(t *testing.T) jobtest.Place {
		b := natsbroker.Start(t)
		var mu sync.Mutex
		lines := map[job.State]*natsbroker.Line{}
		return jobtest.Place{
			Open: func(t *testing.T) job.State {
				line := new(natsbroker.Line)
				conn := b.Connect(natsgo.SetCustomDialer(line))
				st, err := jobstate.Open(t.Context(), conn, jobstate.Bucket, "nightly", jobstate.Options{Lease: lease})
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				defer mu.Unlock()
				lines[st] = line
				return st
			},
			Freeze: func(_ *testing.T, st job.State) func() {
				mu.Lock()
				defer mu.Unlock()
				lines[st].Cut()
				return lines[st].Mend
			},
			Lease: lease,
		}
	})
}
