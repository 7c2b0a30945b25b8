package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/protocol"
)

// parcel is one LogGroup on its way into the queue.
type parcel struct {
	key   protocol.Key // as the input names it; flags win over it
	group *protocol.LogGroup
	id    *protocol.ID // of a frame
	from  string       // FILE:LINE, for errors
}

// The formats of --format.
const (
	formatAuto     = "auto"
	formatLines    = "lines"
	formatJSON     = "json"
	formatLogGroup = "loggroup"
	formatFrames   = "frames"
)

var inputFormats = []string{formatAuto, formatLines, formatJSON, formatLogGroup, formatFrames}

// input is one file, or stdin.
type input struct {
	name   string
	r      io.Reader
	format string
	lines  int // logs in a group, at most
}

// maxLine is the longest line that is read; it does not fit into a message of
// any usual server.
const maxLine = 16 << 20

// parcels reads the input to its end. An error ends it.
func (in *input) parcels(ctx context.Context) iter.Seq2[parcel, error] {
	return func(yield func(parcel, error) bool) {
		r, err := plain(bufio.NewReaderSize(in.r, 64<<10))
		if err != nil {
			yield(parcel{}, usage(fmt.Errorf("couldn't decompress %s: %w", in.name, err)))
			return
		}
		format := in.format
		if format == formatAuto {
			format = guess(r)
		}
		switch format {
		case formatLogGroup:
			yield(in.wholeGroup(r))
		case formatFrames:
			in.frames(r, yield)
		default:
			in.logs(ctx, r, lineParsers[format], yield)
		}
	}
}

// plain removes gzip or zstd, recognised by their first bytes.
func plain(r *bufio.Reader) (*bufio.Reader, error) {
	head, _ := r.Peek(4) // an input shorter than this is not compressed
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return bufio.NewReader(z), err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		return bufio.NewReader(z), err
	}
	return r, nil
}

// guess looks at the first bytes: frames have a magic, JSON begins with a
// bracket after any space.
func guess(r *bufio.Reader) string {
	if head, _ := r.Peek(3); string(head) == "\xf1LG" {
		return formatFrames
	}
	for n := 1; n <= 4096; n++ {
		head, err := r.Peek(n)
		if err != nil {
			break
		}
		switch head[n-1] {
		case ' ', '\t', '\r', '\n':
		case '{':
			return formatJSON
		default:
			return formatLines
		}
	}
	return formatLines
}

// frames keeps the ids that the frames carry, so that data which is published
// again is known as the same data.
func (in *input) frames(r io.Reader, yield func(parcel, error) bool) {
	frames := protocol.NewFrameReader(r, 0)
	for {
		f, err := frames.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		from := fmt.Sprintf("%s: frame at byte %d", in.name, f.Offset)
		if err != nil {
			yield(parcel{}, fmt.Errorf("couldn't read %s: %w", in.name, err))
			return
		}
		p := parcel{key: f.Key, group: new(protocol.LogGroup), id: &f.ID, from: from}
		if err := p.group.Unmarshal(f.Data); err != nil {
			yield(parcel{}, fmt.Errorf("%s: %w", from, err))
			return
		}
		if !yield(p, nil) {
			return
		}
	}
}

func (in *input) wholeGroup(r io.Reader) (parcel, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return parcel{}, fmt.Errorf("couldn't read %s: %w", in.name, err)
	}
	g := new(protocol.LogGroup)
	if err := g.Unmarshal(data); err != nil {
		return parcel{}, usage(fmt.Errorf("%s is no LogGroup: %w; --format says what it is", in.name, err))
	}
	return parcel{group: g, from: in.name}, nil
}

// parsed is what one line holds: a log with its tags, or a whole group.
type parsed struct {
	log   *protocol.Log
	tags  []*protocol.LogTag
	group *protocol.LogGroup
}

type lineParser func(line []byte, now time.Time) (parsed, error)

var lineParsers = map[string]lineParser{formatLines: textLine, formatJSON: jsonLine}

func textLine(line []byte, now time.Time) (parsed, error) {
	return parsed{log: &protocol.Log{
		Time:     uint32(now.Unix()),
		Contents: []*protocol.Log_Content{{Key: "content", Value: string(line)}},
	}}, nil
}

// jsonLine takes an object of fields, or a LogGroup as JSON shows it: an object
// with "Logs".
func jsonLine(line []byte, now time.Time) (parsed, error) {
	var shape struct {
		Logs []json.RawMessage `json:"Logs"`
	}
	if bytes.Contains(line, []byte(`"Logs"`)) && json.Unmarshal(line, &shape) == nil && shape.Logs != nil {
		g := new(protocol.LogGroup)
		if err := json.Unmarshal(line, g); err != nil {
			return parsed{}, fmt.Errorf("no LogGroup: %w", err)
		}
		return parsed{group: g}, nil
	}
	l, tags, err := protocol.ParseJSONLog(line)
	if err != nil {
		return parsed{}, fmt.Errorf("%w; --format lines takes it as text", err)
	}
	if l.Time == 0 {
		l.Time = uint32(now.Unix())
	}
	return parsed{log: l, tags: tags}, nil
}

// logs packs lines into groups: in.lines each, fewer when tags change or when
// the input pauses, so that a followed file is published as it grows.
func (in *input) logs(ctx context.Context, r *bufio.Reader, parse lineParser, yield func(parcel, error) bool) {
	lines := readLines(ctx, r)
	pack := linePack{in: in, parse: parse, yield: yield}
	idle := time.NewTimer(idleFlush)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			pack.flush()
			return
		case <-idle.C:
			if !pack.flush() {
				return
			}
		case line, open := <-lines:
			switch {
			case !open:
				pack.flush()
				return
			case line.err != nil:
				pack.fail(usage(fmt.Errorf("couldn't read %s at line %d: %w", in.name, pack.line+1, line.err)))
				return
			case !pack.add(line.text):
				return
			}
			idle.Reset(idleFlush)
		}
	}
}

// linePack collects logs for the next group. Its methods return false when
// nobody wants more.
type linePack struct {
	in    *input
	parse lineParser
	yield func(parcel, error) bool
	group protocol.LogGroup
	line  int // read so far
	first int // line of the group's first log
}

func (k *linePack) add(text []byte) bool {
	k.line++
	if len(bytes.TrimSpace(text)) == 0 {
		return true
	}
	one, err := k.parse(text, time.Now())
	switch {
	case err != nil:
		return k.fail(usage(fmt.Errorf("%s:%d: %w", k.in.name, k.line, err)))
	case one.group != nil:
		return k.flush() && k.yield(parcel{group: one.group, from: fmt.Sprintf("%s:%d", k.in.name, k.line)}, nil)
	case !sameTags(k.group.LogTags, one.tags) && !k.flush():
		return false
	}
	if len(k.group.Logs) == 0 {
		k.first, k.group.LogTags = k.line, one.tags
	}
	k.group.Logs = append(k.group.Logs, one.log)
	return len(k.group.Logs) < k.in.lines || k.flush()
}

func (k *linePack) flush() bool {
	if len(k.group.Logs) == 0 {
		return true
	}
	g := k.group
	k.group = protocol.LogGroup{}
	return k.yield(parcel{group: &g, from: fmt.Sprintf("%s:%d", k.in.name, k.first)}, nil)
}

// fail publishes what came before the error.
func (k *linePack) fail(err error) bool {
	if k.flush() {
		k.yield(parcel{}, err)
	}
	return false
}

func sameTags(a, b []*protocol.LogTag) bool {
	return slices.EqualFunc(a, b, func(a, b *protocol.LogTag) bool { return *a == *b })
}

const idleFlush = 500 * time.Millisecond

type line struct {
	text []byte
	err  error
}

// readLines reads ahead in a goroutine of its own, because a read from a
// terminal or pipe cannot be given up: it ends with its input, or at the next
// line after ctx ended.
func readLines(ctx context.Context, r *bufio.Reader) <-chan line {
	out := make(chan line, 256)
	go func() {
		defer close(out)
		s := bufio.NewScanner(r)
		s.Buffer(make([]byte, 0, 64<<10), maxLine)
		for s.Scan() {
			select {
			case out <- line{text: bytes.Clone(s.Bytes())}:
			case <-ctx.Done():
				return
			}
		}
		err := s.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("it is longer than %d MiB", maxLine>>20)
		}
		if err != nil {
			select {
			case out <- line{err: err}:
			case <-ctx.Done():
			}
		}
	}()
	return out
}
