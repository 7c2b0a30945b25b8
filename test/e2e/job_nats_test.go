//go:build unix

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// placingBroker remembers the sequence of each group.
type placingBroker struct {
	*broker
	places places
}

func (b *placingBroker) send(_ *testing.T, load *ledger.Load) ledger.Send {
	return func(ctx context.Context, key protocol.Key, body []byte) error {
		msg := nats.NewMsg("logs." + key.Project + "." + key.Logstore + "." + key.Config)
		msg.Data = body
		msg.Header.Set(protocol.HeaderProject, key.Project)
		msg.Header.Set(protocol.HeaderLogstore, key.Logstore)
		msg.Header.Set(protocol.HeaderConfig, key.Config)
		ack, err := b.js.PublishMsg(ctx, msg)
		if err == nil {
			b.places.put(load, body, place{position: int64(ack.Sequence)})
		}
		return err
	}
}

// natsJob replays the middle half of a stream.
func natsJob(t *testing.T, groups int) *jobRig {
	t.Helper()
	return natsJobOf(t, groups, logBytes)
}

func natsJobOf(t *testing.T, groups, bytes int) *jobRig {
	t.Helper()
	b := &placingBroker{broker: startBroker(t, false)}
	r := rigOn(t, b)
	r.broker = b.broker
	config := r.config(t, "j1", 2000)
	r.setup(t, config)
	load := r.load(30)
	load.Groups, load.Logs, load.Bytes = 2*groups, 1, bytes
	r.produce(t, load)

	from := int64(groups / 2)
	to := from + int64(groups)
	r.within = func(n uint64) bool {
		at, ok := b.places.of(n)
		return ok && at.position >= from && at.position < to
	}
	return &jobRig{
		rig: r, config: config, name: "night", packed: 1, lease: jobLease, began: load.Start,
		command:   []string{"replay", "--from", fmt.Sprint(from), "--to", fmt.Sprint(to)},
		untouched: b.untouched,
	}
}

// untouched says that nothing was ever asked of the live consumer.
func (b *broker) untouched(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, streamName)
	if err != nil {
		t.Fatal(err)
	}
	info := b.consumer(t)
	if info.Delivered.Consumer != 0 || info.AckFloor.Consumer != 0 || info.NumAckPending != 0 || info.NumPending != s.CachedInfo().State.Msgs {
		t.Errorf("the live consumer was touched: %+v", info)
	}
}
