package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// A message is at most so much of a file of lines. These are constants because where
// messages begin must not depend on settings.
const (
	packBytes = 256 << 10
	packLines = 1000
)

// afterBadLine is how much is tried at first behind a bad line, times tryMore each
// time it was good: between many of them little is read twice.
const (
	afterBadLine = 4 << 10
	tryMore      = 8
)

// lineLimits are no limits: lines are bounded by max_line, messages by the engine.
var lineLimits = protocol.Limits{
	Decompressed: math.MaxInt32, Ratio: math.MaxInt32,
	Groups: math.MaxInt32, Logs: math.MaxInt32, Contents: math.MaxInt32,
}

const byteOrderMark = "\xef\xbb\xbf"

// readLines hands out the next lines that make a message, or the one that is bad.
func (r *reader) readLines(b *batch) error {
	if r.skipping != nil {
		return r.skipLine(b)
	}
	if err := r.win.fill(packBytes + 1); err != nil { // one more, to know whether that is all
		return err
	}
	have := r.win.have()
	if r.win.at == 0 && len(have) >= len(byteOrderMark) && string(have[:len(byteOrderMark)]) == byteOrderMark {
		r.win.use(len(byteOrderMark))
		return nil
	}
	if len(have) == 0 {
		return r.end(b)
	}
	n := r.block(packBytes)
	switch {
	case n > 0:
	case len(have) <= packBytes: // half a line, as the stream broke off
		return r.end(b)
	default:
		return r.longLine(b)
	}
	if r.attempt > 0 && r.attempt < n {
		n = max(r.block(r.attempt), lineEnd(have))
	}
	return r.parse(b, have[:n], n)
}

// block is how long the next lines are that make one message of at most that many
// bytes: 0 if not even the first one ends within them. The last line of a file ends
// with it.
func (r *reader) block(most int) int {
	have := r.win.have()
	text := have[:min(len(have), most)]
	n := 0
	for range packLines {
		i := bytes.IndexByte(text[n:], '\n')
		if i < 0 {
			if len(text) == len(have) && r.win.ended && r.win.broken == "" {
				return len(text)
			}
			break
		}
		n += i + 1
	}
	return n
}

// lineEnd is how long the first line is, which is there with its end or is all.
func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// parse makes a message of lines.
func (r *reader) parse(b *batch, text []byte, n int) error {
	p := protocol.Payload{Value: text, Format: r.layout.format, ByLine: true, Time: r.modified}
	body, groups, err := p.Scan(&lineLimits, r.groups[:0])
	var bad *protocol.LineError
	if errors.As(err, &bad) {
		return r.badLine(b, text, bad)
	}
	if err != nil { // a block without a limit, line by line, has no other error
		bad = &protocol.LineError{End: len(text), Reason: err.Error()}
		return r.badLine(b, text, bad)
	}
	if r.attempt > 0 {
		if n < r.block(packBytes) { // more of the same message follows
			r.attempt *= tryMore
			clear(groups)
			return nil
		}
		r.attempt = 0
	}
	at := r.next
	r.win.use(n)
	r.next = r.win.at
	r.lined(b, at, body, groups)
	return nil
}

// lined hands out what a block of lines became.
func (r *reader) lined(b *batch, at int64, body protocol.Body, groups []protocol.Group) {
	switch len(groups) {
	case 0: // empty lines
	case 1:
		r.message(b, at, groups[0].Data, groupHeaders, queue.Origin{})
	default:
		r.message(b, at, body.Bytes, listHeaders, queue.Origin{})
	}
	clear(groups)
	if r.groups = groups; cap(groups) > 4*packLines { // one line had them
		r.groups = nil
	}
}

var (
	groupHeaders = []queue.Header{{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroup}}
	listHeaders  = []queue.Header{{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroupList}}
)

// badLine hands out the lines before it, and it alone: what follows begins anew, as
// it would if reading began there.
func (r *reader) badLine(b *batch, text []byte, bad *protocol.LineError) error {
	if bad.Offset > 0 {
		p := protocol.Payload{Value: text[:bad.Offset], Format: r.layout.format, ByLine: true, Time: r.modified}
		body, groups, err := p.Scan(&lineLimits, r.groups[:0])
		if err != nil { // the lines before the first bad one are good
			return fmt.Errorf("this is a defect, please report it: %s at byte %d: %w", r.slice.Name, r.next, err)
		}
		r.lined(b, r.next, body, groups)
	}
	r.win.use(bad.Offset)
	r.damaged(b, r.win.at, int64(bad.End-bad.Offset), text[bad.Offset:bad.End], bad.Reason)
	r.win.use(bad.End - bad.Offset)
	r.next, r.attempt = r.win.at, afterBadLine
	return nil
}

// longLine is a line that does not fit a block: a message by itself, or damage.
func (r *reader) longLine(b *batch) error {
	seen := packBytes
	for {
		have := r.win.have()
		if i := bytes.IndexByte(have[min(seen, len(have)):min(len(have), r.in.maxLine)], '\n'); i >= 0 {
			return r.parse(b, have[:seen+i+1], seen+i+1)
		}
		seen = min(len(have), r.in.maxLine)
		switch {
		case len(have) > r.in.maxLine:
			r.beginStretch(fmt.Sprintf("the line is longer than %d bytes (max_line)", r.in.maxLine))
			return r.skipLine(b)
		case r.win.ended && r.win.broken != "":
			return r.end(b)
		case r.win.ended:
			return r.parse(b, have, len(have))
		}
		if err := r.win.fill(min(2*len(have), r.in.maxLine+1)); err != nil {
			return err
		}
	}
}

// skipLine looks for the end of a line that is too long, some bytes at a time.
func (r *reader) skipLine(b *batch) error {
	if err := r.win.fill(1); err != nil {
		return err
	}
	have := r.win.have()
	i := bytes.IndexByte(have, '\n')
	if i < 0 && len(have) > 0 {
		r.pass(len(have))
		return nil
	}
	r.pass(i + 1)
	r.endStretch(b)
	return nil
}
