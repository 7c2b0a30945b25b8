package jobstate

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience bounds one put; a cluster that elects a leader needs a few seconds.
const patience = 10 * time.Second

// entry is what is kept under a key.
type entry struct {
	revision uint64
	value    []byte
}

// subject is where a key, or all keys of a pattern, lie in the bucket's stream.
func (s *state) subject(key string) string { return "$KV." + s.bucket + "." + s.job + "." + key }

// key is a key of the job's as the bucket knows it.
func (s *state) key(key string) string { return s.job + "." + key }

// read asks the leader for a key; nil: there is none.
func (s *state) read(ctx context.Context, key string) (*entry, error) {
	var resp struct {
		Message struct {
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	req := map[string]string{"last_by_subj": s.subject(key)}
	err := s.conn.Ask(ctx, "STREAM.MSG.GET."+streamName(s.bucket), req, &resp)
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("couldn't read %s of bucket %s: %w", s.key(key), s.bucket, err)
	}
	m := &resp.Message
	if len(m.Header) > 0 {
		header, err := natsgo.DecodeHeadersMsg(m.Header)
		if err != nil {
			return nil, fmt.Errorf("couldn't read %s of bucket %s: %w", s.key(key), s.bucket, err)
		}
		if header.Get("KV-Operation") != "" { // somebody deleted it by hand
			return nil, nil
		}
	}
	return &entry{m.Sequence, m.Data}, nil
}

// subjects are those of a pattern that have a value.
func (s *state) subjects(ctx context.Context, pattern string) ([]string, error) {
	var all []string
	for {
		req := map[string]any{"subjects_filter": s.subject(pattern), "offset": len(all)}
		var page struct {
			Total int `json:"total"`
			jetstream.StreamInfo
		}
		if err := s.conn.Ask(ctx, "STREAM.INFO."+streamName(s.bucket), req, &page); err != nil {
			return nil, fmt.Errorf("couldn't list %s of bucket %s: %w", s.key(pattern), s.bucket, err)
		}
		for subject := range page.State.Subjects {
			all = append(all, subject)
		}
		if len(page.State.Subjects) == 0 || len(all) >= page.Total {
			return all, nil
		}
	}
}

// purge removes keys for good, without a mark in their place.
func (s *state) purge(ctx context.Context, pattern string) error {
	req := map[string]string{"filter": s.subject(pattern)}
	if err := s.conn.Ask(ctx, "STREAM.PURGE."+streamName(s.bucket), req, nil); err != nil {
		return fmt.Errorf("couldn't remove %s from bucket %s: %w", s.key(pattern), s.bucket, err)
	}
	return nil
}
