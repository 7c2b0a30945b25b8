package natsbroker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/test/natsbroker"
)

// A message that the server refuses is named.
func TestPutSaysWhatIsNotStored(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	js := b.JetStream(b.Connect())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "LOGS", Subjects: []string{"logs.>"}, MaxMsgs: 700, Discard: jetstream.DiscardNew,
	}); err != nil {
		t.Fatal(err)
	}
	message := func(i int) *natsgo.Msg {
		m := natsgo.NewMsg("logs.a")
		m.Data = fmt.Appendf(nil, "message %d", i+1)
		return m
	}
	err := natsbroker.Put(t.Context(), js, 800, message)
	if err == nil || !strings.Contains(err.Error(), "message 700 is not stored: ") {
		t.Errorf("800 messages in a stream of 700: %v", err)
	}
}

// A message is stored once although the server's answer to it was lost.
func TestPutEachStoresOnce(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t)
	line := new(natsbroker.Line)
	js := b.JetStream(b.Connect(natsgo.SetCustomDialer(line)))
	stream, err := b.JetStream(b.Connect()).CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}})
	if err != nil {
		t.Fatal(err)
	}
	const n, unheard = 20, 10
	broken := make(chan error, 1)
	err = natsbroker.PutEach(t.Context(), js, n, func(i int) *natsgo.Msg {
		if i == unheard {
			line.Mute()
			go func() {
				_, err := stored(t, stream, unheard+1)
				line.Cut()
				line.Mend()
				broken <- err
			}()
		}
		m := natsgo.NewMsg("logs.a")
		m.Data = fmt.Appendf(nil, "message %d", i+1)
		return m
	})
	if err := errors.Join(err, <-broken); err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != n {
		t.Errorf("%+v, want %d messages; %v", info, n, err)
	}
	for i := range n {
		if m, err := stored(t, stream, uint64(i+1)); err != nil || string(m.Data) != fmt.Sprintf("message %d", i+1) {
			t.Errorf("at sequence %d: %v, %v", i+1, m, err)
		}
	}
}

// stored waits for a message.
func stored(t *testing.T, stream jetstream.Stream, seq uint64) (m *jetstream.RawStreamMsg, err error) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		if m, err = stream.GetMsg(t.Context(), seq); err == nil {
			return m, nil
		}
	}
	return nil, err
}
