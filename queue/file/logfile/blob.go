package logfile

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// blob is a file as it is stored, verified to be the one that was planned.
type blob interface {
	// readAt fills p with what lies at an offset, or less. io.EOF is the end that was
	// planned. Errors are those of job.Reader.Read.
	readAt(ctx context.Context, p []byte, at int64) (int, error)
	// unchanged looks once more, after the end.
	unchanged() error

	modified() time.Time
	identity() string // of the content, wherever the file lies
	close() error
}

// stored reads a blob in order, for decompressors that know nothing of contexts. Its
// errors are kept, as theirs say less.
type stored struct {
	blob
	ctx context.Context // of the call that reads
	at  atomic.Int64
	err error
}

func (s *stored) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.readAt(s.ctx, p, s.at.Load())
	s.at.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
