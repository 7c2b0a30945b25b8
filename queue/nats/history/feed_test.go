package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/test/natsbroker"
)

// The server says nothing when a request is used up to the byte.
func TestARequestThatIsUsedUpExactly(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	conn := b.Connect()
	js := b.JetStream(conn)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 8 { // one digit each, so that all are equally long
		if _, err := js.Publish(t.Context(), "logs.a", fmt.Appendf(nil, "message %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	config := beside("test", time.Minute)
	config.DeliverPolicy = jetstream.DeliverAllPolicy
	f, err := newFeed(t.Context(), conn, "LOGS", config)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	ms, end, why, err := f.pull(t.Context(), 1, 0)
	if err != nil || end != whole || len(ms) != 1 {
		t.Fatalf("%d messages, ending %d %s, %v", len(ms), end, why, err)
	}
	size := int64(ms[0].Size())
	for range 2 {
		if ms, end, why, err = f.pull(t.Context(), 100, 3*size); err != nil || end != whole || len(ms) != 3 {
			t.Fatalf("%d messages, ending %d %s, %v", len(ms), end, why, err)
		}
	}
	if ms, end, why, err = f.pull(t.Context(), 100, size-1); err != nil || end != tooLarge || len(ms) != 0 {
		t.Fatalf("%d messages, ending %d %s, %v", len(ms), end, why, err)
	}
	if ms, end, why, err = f.pull(t.Context(), 100, 100*size); err != nil || end != exhausted || len(ms) != 1 {
		t.Fatalf("%d messages, ending %d %s, %v", len(ms), end, why, err)
	}
}
