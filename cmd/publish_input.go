package cmd

import (
	"bufio"
	"bytes"
	"context"
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
	data  []byte       // the group's protobuf as it came, of a frame: with fields that we do not know
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
		p := parcel{key: f.Key, group: new(protocol.LogGroup), data: f.Data, id: &f.ID, from: from}
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

// lineParser makes groups of a line; logs that name no time take now.
type lineParser func(line []byte, now time.Time) ([]*protocol.LogGroup, error)

var lineParsers = map[string]lineParser{formatLines: textLine, formatJSON: jsonLine}

func textLine(line []byte, now time.Time) ([]*protocol.LogGroup, error) {
	return groupsOf(line, protocol.FormatText, now)
}

// jsonLine takes what a worker takes from a queue: a log in any of the shapes of
// collectors, a LogGroup as JSON shows it, or an array of them.
func jsonLine(line []byte, now time.Time) ([]*protocol.LogGroup, error) {
	all, err := groupsOf(line, protocol.FormatJSON, now)
	if err != nil {
		return nil, fmt.Errorf("%w; --format lines takes it as text", err)
	}
	return all, nil
}

func groupsOf(line []byte, f protocol.Format, now time.Time) ([]*protocol.LogGroup, error) {
	p := protocol.Payload{Value: line, Format: f, Time: now}
	_, found, err := p.Scan(nil, nil)
	if err != nil {
		return nil, err
	}
	all := make([]*protocol.LogGroup, len(found))
	for i := range found {
		all[i] = found[i].Decode()
	}
	return all, nil
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
	all, err := k.parse(text, time.Now())
	if err != nil {
		return k.fail(usage(fmt.Errorf("%s:%d: %w", k.in.name, k.line, err)))
	}
	whole := len(all) != 1 || bytes.Contains(text, []byte(`"Logs"`)) // perhaps LogGroups, which stay as they are
	for _, g := range all {
		if !k.addGroup(g, whole) {
			return false
		}
	}
	return true
}

// addGroup adds a single log to the group that is being collected if it fits
// there, and passes on whole groups as they are.
func (k *linePack) addGroup(g *protocol.LogGroup, whole bool) bool {
	if whole || len(g.Logs) != 1 {
		return k.flush() && k.yield(parcel{group: g, from: fmt.Sprintf("%s:%d", k.in.name, k.line)}, nil)
	}
	if !sameOrigin(&k.group, g) && !k.flush() {
		return false
	}
	if len(k.group.Logs) == 0 {
		k.first, k.group = k.line, protocol.LogGroup{Topic: g.Topic, Source: g.Source, LogTags: g.LogTags}
	}
	k.group.Logs = append(k.group.Logs, g.Logs[0])
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

func sameOrigin(a, b *protocol.LogGroup) bool {
	return a.Topic == b.Topic && a.Source == b.Source &&
		slices.EqualFunc(a.LogTags, b.LogTags, func(a, b *protocol.LogTag) bool { return *a == *b })
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
