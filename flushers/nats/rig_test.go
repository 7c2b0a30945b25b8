package nats_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
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
	return newShelfAs(t, nil, with...)
}

// newShelfAs looks at the server with options of the client.
func newShelfAs(t *testing.T, as []natsgo.Option, with ...func(*server.Options)) *shelf {
	t.Helper()
	s := &shelf{Broker: natsbroker.Start(t, with...)}
	nc, err := natsgo.Connect(s.URL(), append(as, natsgo.MaxReconnects(-1), natsgo.ReconnectWait(20*time.Millisecond))...)
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
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	st, err := s.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	info, err := st.Info(ctx)
	if err != nil {
		return nil, err
	}
	var out []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := st.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// stored reads every message as its headers say.
func (s *shelf) stored() ([]flushertest.Record, error) {
	all, err := s.messages()
	if err != nil {
		return nil, err
	}
	var out []flushertest.Record
	for _, m := range all {
		records, err := read(m)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", m.Sequence, err)
		}
		out = append(out, records...)
	}
	return out, nil
}

func read(m *jetstream.RawStreamMsg) ([]flushertest.Record, error) {
	encoding, err := protocol.ParseEncoding(m.Header.Get(protocol.HeaderContentEncoding))
	if err != nil {
		return nil, err
	}
	format, err := protocol.ParseContentType(m.Header.Get(protocol.HeaderContentType))
	if err != nil {
		return nil, err
	}
	if format == protocol.FormatJSON {
		return readJSON(m.Data, encoding)
	}
	_, groups, err := protocol.Scan(m.Data, format, encoding, &protocol.Limits{Ratio: 1 << 20}, nil)
	var out []flushertest.Record
	for i := range groups {
		out = append(out, flushertest.Records(groups[i].Decode())...)
	}
	return out, err
}

// readJSON takes what a strict reader refuses, too: odd times are the producer's.
func readJSON(data []byte, encoding protocol.Encoding) ([]flushertest.Record, error) {
	if encoding == protocol.EncodingGzip {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	if bytes.HasPrefix(data, []byte("[")) {
		var logs []json.RawMessage
		if err := json.Unmarshal(data, &logs); err != nil {
			return nil, err
		}
		data = nil
		for _, l := range logs {
			data = append(append(data, l...), '\n')
		}
	}
	return flushertest.JSONLines(data)
}

// options are those of an entry that writes into the shelf.
func (s *shelf) options(more map[string]any) map[string]any {
	all := map[string]any{"url": s.URL(), "stream": stream, "timeout": "2s"}
	maps.Copy(all, more)
	return all
}
