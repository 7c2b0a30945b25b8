package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// errNoMessage says that a stream has no message there.
var errNoMessage = errors.New("there is no such message")

// subjects counts the messages of each subject of a stream that matches the filter.
// The stream's state is of the first of the answers.
func (c *Conn) subjects(ctx context.Context, stream, filter string) (*jetstream.StreamInfo, map[string]uint64, error) {
	var first *jetstream.StreamInfo
	counts := map[string]uint64{}
	for {
		var page struct {
			jetstream.StreamInfo
			Total int `json:"total"`
		}
		req := map[string]any{"subjects_filter": filter, "offset": len(counts)}
		if err := c.brief(ctx, "STREAM.INFO."+stream, req, &page); err != nil {
			return nil, nil, fmt.Errorf("couldn't count the messages of stream %s by subject: %w", stream, err)
		}
		if first == nil {
			first = &page.StreamInfo
		}
		before := len(counts)
		for subject, n := range page.State.Subjects {
			counts[subject] = n
		}
		if len(counts) >= page.Total || len(counts) == before {
			return first, counts, nil
		}
	}
}

// brief is Request within infoTimeout.
func (c *Conn) brief(ctx context.Context, op string, req, resp any) error {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	return c.Request(ctx, op, req, resp)
}

// at asks a stream's leader for the message with a sequence; it is errNoMessage if
// there is none.
func (c *Conn) at(ctx context.Context, stream string, seq uint64) (queue.Message, error) {
	return c.get(ctx, stream, map[string]any{"seq": seq})
}

// following asks a stream's leader for the first message of a subject whose
// sequence is at least seq; it is errNoMessage if there is none.
func (c *Conn) following(ctx context.Context, stream, subject string, seq uint64) (queue.Message, error) {
	return c.get(ctx, stream, map[string]any{"seq": seq, "next_by_subj": subject})
}

// last is the sequence of the newest message of a subject; it is errNoMessage if
// there is none.
func (c *Conn) last(ctx context.Context, stream, subject string) (int64, error) {
	m, err := c.get(ctx, stream, map[string]any{"last_by_subj": subject})
	return m.Position, err
}

func (c *Conn) get(ctx context.Context, stream string, req any) (queue.Message, error) {
	var resp struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := c.brief(ctx, "STREAM.MSG.GET."+stream, req, &resp); err != nil {
		if isCode(err, jetstream.JSErrCodeMessageNotFound) {
			return queue.Message{}, errNoMessage
		}
		return queue.Message{}, fmt.Errorf("couldn't read a message of stream %s: %w", stream, err)
	}
	m := queue.Message{Subject: resp.Message.Subject, Position: int64(resp.Message.Seq), Value: resp.Message.Data, Time: resp.Message.Time}
	if len(resp.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(resp.Message.Header)
		if err != nil {
			return queue.Message{}, fmt.Errorf("couldn't read the headers of message %d of stream %s: %w", resp.Message.Seq, stream, err)
		}
		m.Headers, _, _ = convertHeaders(h)
	}
	return m, nil
}

// oldest is the first message of a subject as any replica has it, which costs the
// leader nothing.
func (c *Conn) oldest(ctx context.Context, stream, subject string) (queue.Message, error) {
	limited, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	req, err := json.Marshal(map[string]any{"seq": 1, "next_by_subj": subject})
	if err != nil {
		return queue.Message{}, fmt.Errorf("couldn't encode the subject %q: %w", subject, err)
	}
	m, err := c.nc.RequestWithContext(limited, c.prefix+"DIRECT.GET."+stream, req)
	if errors.Is(err, nats.ErrNoResponders) { // allow_direct is off
		return c.following(ctx, stream, subject, 1)
	}
	if err != nil {
		return queue.Message{}, fmt.Errorf("couldn't read the oldest message of %s: %w", subject, err)
	}
	if status := m.Header.Get("Status"); status != "" {
		if status == strconv.Itoa(http.StatusNotFound) {
			return queue.Message{}, errNoMessage
		}
		return queue.Message{}, fmt.Errorf("couldn't read the oldest message of %s: %s %s", subject, status, m.Header.Get("Description"))
	}
	seq, err1 := strconv.ParseInt(m.Header.Get("Nats-Sequence"), 10, 64)
	at, err2 := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err := errors.Join(err1, err2); err != nil {
		return queue.Message{}, fmt.Errorf("couldn't read the oldest message of %s: %w", subject, err)
	}
	out := queue.Message{Subject: subject, Position: seq, Value: m.Data, Time: at}
	out.Headers, _, _ = convertHeaders(m.Header)
	return out, nil
}

// purged removes all messages of a subject and says how many they were.
func (c *Conn) purged(ctx context.Context, stream, subject string) (int64, error) {
	var resp struct {
		Purged int64 `json:"purged"`
	}
	if err := c.brief(ctx, "STREAM.PURGE."+stream, map[string]any{"filter": subject}, &resp); err != nil {
		return 0, fmt.Errorf("couldn't remove the messages of %s: %w", subject, explainSilence(err, c.prefix+"STREAM.PURGE."+stream))
	}
	return resp.Purged, nil
}

// Remove deletes one message within 2 seconds. One that is gone is no error.
func (c *Conn) Remove(ctx context.Context, stream string, seq int64) error {
	err := c.brief(ctx, "STREAM.MSG.DELETE."+stream, map[string]any{"seq": seq, "no_erase": true}, nil)
	if err == nil {
		return nil
	}
	if _, gone := c.at(ctx, stream, uint64(seq)); errors.Is(gone, errNoMessage) {
		return nil
	}
	return fmt.Errorf("couldn't remove message %d of stream %s: %w", seq, stream, explainSilence(err, c.prefix+"STREAM.MSG.DELETE."+stream))
}
