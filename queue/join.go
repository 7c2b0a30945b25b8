package queue

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Joiner makes whole messages of what Split produced; messages that were never
// split pass through. Chunks may come in any order, twice, and mixed with those of
// other messages. It is for one goroutine.
type Joiner struct {
	// MaxBytes bounds the chunks kept for messages that are not whole yet, and the
	// size of a decompressed value; 0: 256 MiB. At the bound the message whose first
	// chunk is the oldest is given up and reported by Missing.
	MaxBytes int64

	open  []*joint // oldest first
	byID  map[string]*joint
	bytes int64
	lost  []Gap
}

// Whole is a message as it was before Split, and where its pieces lie.
type Whole struct {
	Message
	Positions []int64 // of every message that it was made of, duplicates included
}

// Gap is a message of which chunks are missing. A put that failed halfway leaves
// one behind, and the whole message again beside it.
type Gap struct {
	ID        string  // HeaderPartOf
	Parts     int     // chunks it was cut into
	Missing   []int   // chunks that were not seen, 1-based
	Positions []int64 // of the chunks that were
}

// sliceBytes is what the place of one chunk costs before it arrives.
const sliceBytes = 24

type joint struct {
	gap    Gap
	head   Message
	values [][]byte
	have   int
	bytes  int64
}

// Add takes the next message read. It returns a whole message or, if more chunks
// are needed, nil. An error is about this message alone: it cannot be read.
func (j *Joiner) Add(m Message) (*Whole, error) {
	id, ok := m.Header(HeaderPartOf)
	if !ok {
		return j.unwrap(&Whole{m, []int64{m.Position}})
	}
	number, _ := m.Header(HeaderPart)
	i, n, err := PartNumber(number)
	if err != nil {
		return nil, fmt.Errorf("couldn't join chunk at position %d of message %s: %w", m.Position, id, err)
	}
	one, err := j.find(id, n)
	if err != nil {
		return nil, err
	}
	j.keep(one, i, m)
	if one.have < n {
		j.makeRoom(one)
		return nil, nil
	}
	j.drop(one)
	w := &Whole{one.head, one.gap.Positions}
	w.Value = bytes.Join(one.values, nil)
	w.Headers = without(w.Headers, HeaderPart, HeaderPartOf)
	return j.unwrap(w)
}

func (j *Joiner) find(id string, n int) (*joint, error) {
	one := j.byID[id]
	if one == nil {
		one = &joint{gap: Gap{ID: id, Parts: n}, values: make([][]byte, n), bytes: int64(n) * sliceBytes}
		j.bytes += one.bytes
		if j.byID == nil {
			j.byID = map[string]*joint{}
		}
		j.byID[id] = one
		j.open = append(j.open, one)
	}
	if len(one.values) != n {
		return nil, fmt.Errorf("couldn't join message %s: one chunk says %d chunks, another %d", id, len(one.values), n)
	}
	return one, nil
}

// keep stores chunk i unless it is there already: a put that was tried again.
func (j *Joiner) keep(one *joint, i int, m Message) {
	one.gap.Positions = append(one.gap.Positions, m.Position)
	if one.values[i-1] != nil {
		return
	}
	if i == 1 {
		one.head = m
		one.head.Value = nil
	}
	one.values[i-1] = append([]byte{}, m.Value...)
	one.have++
	one.bytes += int64(len(m.Value))
	j.bytes += int64(len(m.Value))
}

func (j *Joiner) limit() int64 {
	if j.MaxBytes > 0 {
		return j.MaxBytes
	}
	return 256 << 20
}

// makeRoom gives up the oldest unfinished messages, the one at hand last.
func (j *Joiner) makeRoom(current *joint) {
	for j.bytes > j.limit() {
		victim := j.open[0]
		if victim == current && len(j.open) > 1 {
			victim = j.open[1]
		}
		j.lost = append(j.lost, victim.report())
		j.drop(victim)
	}
}

func (j *Joiner) drop(one *joint) {
	delete(j.byID, one.gap.ID)
	j.open = slices.DeleteFunc(j.open, func(o *joint) bool { return o == one })
	j.bytes -= one.bytes
}

func (one *joint) report() Gap {
	g := one.gap
	for i, v := range one.values {
		if v == nil {
			g.Missing = append(g.Missing, i+1)
		}
	}
	return g
}

// Missing is what could not be joined so far: given up for lack of room, or
// waiting for chunks.
func (j *Joiner) Missing() []Gap {
	gaps := slices.Clone(j.lost)
	for _, one := range j.open {
		gaps = append(gaps, one.report())
	}
	return gaps
}

func (j *Joiner) unwrap(w *Whole) (*Whole, error) {
	form, ok := w.Header(HeaderWrapped)
	if !ok {
		return w, nil
	}
	if form != "zstd" {
		return nil, fmt.Errorf("couldn't unwrap the message at position %d: %s is %q, this version knows zstd", w.Position, HeaderWrapped, form)
	}
	v, err := inflate(w.Value, j.limit())
	if err != nil {
		return nil, fmt.Errorf("couldn't unwrap the message at position %d: %w", w.Position, err)
	}
	w.Value = v
	w.Headers = without(w.Headers, HeaderWrapped)
	return w, nil
}

func without(headers []Header, names ...string) []Header {
	return slices.DeleteFunc(slices.Clone(headers), func(h Header) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, h.Key) })
	})
}

func inflate(z []byte, limit int64) ([]byte, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(limit)))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	v, err := dec.DecodeAll(z, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return nil, fmt.Errorf("it holds more than %d bytes: %w", limit, err)
	}
	return v, err
}
