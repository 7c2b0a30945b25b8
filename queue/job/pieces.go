package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Pieces cuts a plan's slices into values of at most MaxValue bytes, as they come;
// size, by shard, is complete when the sequence has ended. A piece holds a slice a
// line, as JSON.
func Pieces(slices Slices, of int) (pieces iter.Seq2[[]byte, error], size func() []ShardSize) {
	sizes := make([]ShardSize, of)
	pieces = func(yield func([]byte, error) bool) {
		clear(sizes)
		var piece []byte
		for s, err := range slices {
			var line []byte
			if err == nil {
				line, err = encodeSlice(&s, of)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(piece)+len(line) > MaxValue {
				if !yield(piece, nil) {
					return
				}
				piece = nil // it is the taker's
			}
			piece = append(piece, line...)
			sizes[s.Shard].add(&s)
		}
		if len(piece) > 0 {
			yield(piece, nil)
		}
	}
	return pieces, func() []ShardSize { return sizes }
}

func encodeSlice(s *Slice, of int) ([]byte, error) {
	if err := s.check(of); err != nil {
		return nil, err
	}
	line, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("couldn't write slice %.200q: %w", s.Name, err)
	}
	if line = append(line, '\n'); len(line) > MaxValue {
		return nil, fmt.Errorf("couldn't write slice %.200q: its name is too long", s.Name)
	}
	return line, nil
}

// check finds what no reader of the plan could make sense of.
func (s *Slice) check(of int) error {
	switch {
	case s.Name == "":
		return errors.New("a slice of the plan has no name")
	case s.Shard < 0 || s.Shard >= of:
		return fmt.Errorf("slice %.200q belongs to shard %d, and the job has %d", s.Name, s.Shard, of)
	case s.From < 0, s.To < -1, s.To >= 0 && s.To < s.From, s.Size < 0, s.Cut < 0, s.Cut > len(s.Name):
		return fmt.Errorf("slice %.200q makes no sense: from %d to %d, size %d, cut %d", s.Name, s.From, s.To, s.Size, s.Cut)
	}
	return nil
}

// SlicesOf reads a job's plan piece by piece.
func SlicesOf(ctx context.Context, st State, m *Manifest) Slices {
	return func(yield func(Slice, error) bool) {
		for i := range m.Pieces {
			piece, err := st.Piece(ctx, i)
			if err != nil {
				yield(Slice{}, fmt.Errorf("couldn't read piece %d of the plan of job %s: %w", i, m.Job, err))
				return
			}
			for s, err := range slicesIn(piece, len(m.Shards)) {
				if err != nil {
					err = fmt.Errorf("couldn't read piece %d of the plan of job %s: %w", i, m.Job, err)
				}
				if !yield(s, err) || err != nil {
					return
				}
			}
		}
	}
}

func slicesIn(piece []byte, of int) Slices {
	return func(yield func(Slice, error) bool) {
		lines := json.NewDecoder(bytes.NewReader(piece))
		for {
			var s Slice
			err := lines.Decode(&s)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil {
				err = s.check(of)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}
