package nats_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/natsbroker"
)

// shelf is a stream of a real server, and a look at what is in it.
type shelf struct {
	*natsbroker.Broker
	js jetstream.JetStream
}

const stream = "ARCHIVE"

func newShelf(t *testing.T, with ...func(*server.Options)) *shelf {
	t.Helper()
	s := &shelf{Broker: natsbroker.Start(t, with...)}
	nc, err := natsgo.Connect(s.URL(), natsgo.MaxReconnects(-1), natsgo.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return s
}

// config is the stream's.
func config(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: stream, Subjects: []string{"logs.>"}, Duplicates: 10 * time.Minute, Discard: jetstream.DiscardNew, MaxMsgSize: 4 << 20,
	}
	if change != nil {
		change(&c)
	}
	return c
}

func (s *shelf) make(change func(*jetstream.StreamConfig)) {
	s.Helper()
	if _, err := s.js.CreateOrUpdateStream(s.Context(), config(change)); err != nil {
		s.Fatal(err)
	}
}

// messages are all that the stream holds.
func (s *shelf) messages() ([]*jetstream.RawStreamMsg, error) {
	st, err := s.js.Stream(s.Context(), stream)
	if err != nil {
		return nil, err
	}
	info, err := st.Info(s.Context())
	if err != nil {
		return nil, err
	}
	var out []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := st.GetMsg(s.Context(), seq)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// stored reads every message as a flushline would.
func (s *shelf) stored() ([]flushertest.Record, error) {
	all, err := s.messages()
	if err != nil {
		return nil, err
	}
	var out []flushertest.Record
	for _, m := range all {
		groups, err := decode(m)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			out = append(out, flushertest.Records(g)...)
		}
	}
	return out, nil
}

func decode(m *jetstream.RawStreamMsg) ([]*protocol.LogGroup, error) {
	format, err := protocol.ParseContentType(m.Header.Get(protocol.HeaderContentType))
	if err != nil {
		return nil, err
	}
	encoding, err := protocol.ParseEncoding(m.Header.Get(protocol.HeaderContentEncoding))
	if err != nil {
		return nil, err
	}
	_, groups, err := protocol.Scan(m.Data, format, encoding, &protocol.Limits{Ratio: 1 << 20}, nil)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", m.Sequence, err)
	}
	out := make([]*protocol.LogGroup, len(groups))
	for i := range groups {
		out[i] = groups[i].Decode()
	}
	return out, nil
}

// options are those of an entry that writes into the shelf.
func (s *shelf) options(more map[string]any) map[string]any {
	all := map[string]any{"url": s.URL(), "stream": stream, "timeout": "2s"}
	maps.Copy(all, more)
	return all
}
