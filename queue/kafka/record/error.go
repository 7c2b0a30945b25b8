package record

import (
	"errors"
	"fmt"
)

// What can be wrong with a set; an Error wraps one of them.
var (
	// ErrChecksum: the bytes are not those that were written. Damaged on the way, a
	// second fetch brings them whole; damaged on the broker's disk, it does not.
	ErrChecksum = errors.New("checksum is wrong")

	// ErrMalformed: the bytes contradict the format or themselves.
	ErrMalformed = errors.New("malformed")

	// ErrUnsupported: a format or codec that this package does not know.
	ErrUnsupported = errors.New("not supported")

	// ErrTooLarge: more than may be held in memory, even compressed.
	ErrTooLarge = errors.New("too large")
)

// Error says where a set could not be read.
type Error struct {
	Offset int64  // the first offset that was not read; Result.Next
	Past   int64  // the first offset behind what cannot be read; 0: not known
	Base   int64  // of the batch, as it says itself
	Codec  string // of the batch: none, gzip, snappy, lz4, zstd; "": not known
	Err    error
}

func (e *Error) Error() string {
	codec := e.Codec
	if codec != "" {
		codec = ", " + codec
	}
	return fmt.Sprintf("couldn't read offset %d (batch at %d%s): %v", e.Offset, e.Base, codec, e.Err)
}

// Unwrap is what was wrong.
func (e *Error) Unwrap() error { return e.Err }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrTooLarge}, args...)...)
}
