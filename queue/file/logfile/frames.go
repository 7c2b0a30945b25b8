package logfile

import (
	"slices"
	"strconv"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// maxFrame is the longest LogGroup in a frame that is read.
const maxFrame = 64 << 20

// readFrame hands out the next frame, or what lies before one that can be read.
func (r *reader) readFrame(b *batch) error {
	if r.skipping != nil {
		return r.seekFrame(b)
	}
	if err := r.win.fill(protocol.FrameHead); err != nil {
		return err
	}
	if len(r.win.have()) == 0 {
		return r.end(b)
	}
	n, err := protocol.FrameLength(r.win.have(), maxFrame)
	if err != nil {
		return r.badFrame(b, 1, err.Error())
	}
	if err := r.win.fill(n + protocol.FrameHead); err != nil {
		return err
	}
	have := r.win.have()
	if len(have) < n {
		return r.badFrame(b, 1, "the file ends inside a frame")
	}
	f, err := protocol.ParseFrame(slices.Clone(have[:n]))
	if err != nil {
		// Its length is right: it ends where the next one begins, or the file.
		if len(have) == n && r.win.broken == "" || protocol.FindFrame(have[n:]) == 0 {
			return r.badFrame(b, n, err.Error())
		}
		return r.badFrame(b, 1, err.Error())
	}
	at := r.next
	r.win.use(n)
	r.next = r.win.at
	r.message(b, at, f.Data, r.frameHeaders(&f), queue.Origin(f.ID.Origin))
	return nil
}

// frameHeaders are shared by frames in a row that have one key.
func (r *reader) frameHeaders(f *protocol.Frame) []queue.Header {
	if r.headers == nil || r.key != f.Key {
		r.key = f.Key
		r.headers = []queue.Header{{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroup}}
		for _, h := range [...]queue.Header{
			{Key: protocol.HeaderProject, Value: f.Key.Project},
			{Key: protocol.HeaderLogstore, Value: f.Key.Logstore},
			{Key: protocol.HeaderConfig, Value: f.Key.Config},
		} {
			if h.Value != "" {
				r.headers = append(r.headers, h)
			}
		}
		r.headers = slices.Clip(r.headers)
	}
	if f.ID.Group == 0 {
		return r.headers
	}
	return append(r.headers, queue.Header{Key: queue.HeaderGroups, Value: strconv.FormatUint(uint64(f.ID.Group), 10)})
}

// badFrame begins a stretch that is at least n bytes long.
func (r *reader) badFrame(b *batch, n int, why string) error {
	r.beginStretch(why)
	r.pass(n)
	return r.seekFrame(b)
}

// seekFrame looks for the next frame, some bytes at a time.
func (r *reader) seekFrame(b *batch) error {
	if err := r.win.fill(windowBytes); err != nil {
		return err
	}
	have := r.win.have()
	i := protocol.FindFrame(have)
	switch {
	case i >= 0:
		r.pass(i)
	case !r.win.ended:
		r.pass(len(have) - protocol.FrameHead + 1) // a head may be cut off
		return nil
	default:
		r.pass(len(have))
	}
	r.endStretch(b)
	return nil
}
