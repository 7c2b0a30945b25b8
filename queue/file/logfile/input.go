package logfile

import (
	"context"
	"sync"

	"github.com/flushline/flushline/queue/job"
)

// Input opens files. It implements job.Input.
type Input struct {
	layout  layout
	maxLine int
	whole   int
	s3      S3
	spare   sync.Pool // of *memory

	mu     sync.Mutex
	bucket *bucketClient // made when the first slice wants it
}

var _ job.Input = (*Input)(nil)

// New makes the input of a configuration. decompressed is how many bytes of a file
// that is read as a whole may be in memory, limits.decompressed; 0: 64 MiB.
func New(cfg *Config, decompressed int64) (*Input, error) {
	l, err := chosen(cfg.Format)
	if err != nil {
		return nil, err
	}
	in := &Input{layout: l, maxLine: int(cfg.MaxLine), whole: int(min(decompressed, maxWhole)), s3: cfg.S3}
	if in.maxLine == 0 {
		in.maxLine = defaultMaxLine
	}
	in.maxLine = max(in.maxLine, packBytes)
	if in.whole <= 0 {
		in.whole = defaultWhole
	}
	return in, nil
}

const (
	defaultWhole = 64 << 20
	maxWhole     = 1 << 30
)

// Open implements job.Input. It opens the file and finds out what is in it; no more
// than the first blocks are read unless at is far into a compressed file.
func (in *Input) Open(ctx context.Context, s *job.Slice, at int64) (job.Reader, error) {
	r := newReader(in, s, at)
	if err := r.open(ctx); err != nil {
		_ = r.Close() // the first error says it
		return nil, err
	}
	return r, nil
}

func (in *Input) blob(ctx context.Context, s *job.Slice) (blob, error) {
	if !isRemote(s.Name) {
		l, err := openLocal(s)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	c, err := in.client()
	if err != nil {
		return nil, err
	}
	r, err := openRemote(ctx, c, s)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (in *Input) client() (*bucketClient, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.bucket == nil {
		c, err := newBucketClient(&in.s3)
		if err != nil {
			return nil, err
		}
		in.bucket = c
	}
	return in.bucket, nil
}
