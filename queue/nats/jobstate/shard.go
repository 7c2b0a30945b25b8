package jobstate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// head is the first line of a shard's value.
type head struct {
	Holder string        `json:"holder,omitempty"` // host and process; empty: nobody
	Claim  string        `json:"claim"`            // which claim wrote it
	Write  int64         `json:"write"`            // which of its writes
	Lease  time.Duration `json:"lease"`            // nanoseconds
}

// shard is a shard's value.
type shard struct {
	head
	checkpoint []byte // nil: none
	revision   uint64
}

func (s *state) shard(ctx context.Context, n int) (*shard, error) {
	found, err := s.read(ctx, shardName(n))
	if found == nil || err != nil {
		return nil, err
	}
	h, checkpoint, ok := decode(found.value)
	if !ok {
		return nil, fmt.Errorf("couldn't read %s of bucket %s: it does not begin with who holds the shard", s.key(shardName(n)), s.bucket)
	}
	return &shard{h, checkpoint, found.revision}, nil
}

func shardName(n int) string { return shardKey + strconv.Itoa(n) }

// encode makes the value of a shard.
func encode(h head, checkpoint []byte) ([]byte, error) {
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	value := make([]byte, 0, len(line)+1+len(checkpoint))
	value = append(append(value, line...), '\n')
	return append(value, checkpoint...), nil
}

// decode is false for what is no value of a shard.
func decode(value []byte) (h head, checkpoint []byte, ok bool) {
	line, checkpoint, ok := bytes.Cut(value, []byte("\n"))
	if !ok || json.Unmarshal(line, &h) != nil || h.Claim == "" {
		return head{}, nil, false
	}
	if len(checkpoint) == 0 {
		checkpoint = nil
	}
	return h, checkpoint, true
}

// ourselves is how others read who holds a shard.
func ourselves() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	if len(host) > 255 {
		host = host[:255]
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}
