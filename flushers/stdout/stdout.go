// Package stdout is the flusher that prints logs to the standard output of the
// process, a line each.
package stdout

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

const summary = "Prints each log to the standard output, as JSON or for people."

// Kind is the kind "stdout". Stored means written: what happens to the bytes
// behind the pipe is not known.
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "stdout",
		Summary:       summary,
		New:           func() flushers.Flusher { return newFlusher() },
		NoRetain:      true,
		TestedAgainst: "pipes and files of the operating system",
		Docs:          docs(),
	}
}

// The values of the option format.
const (
	FormatJSON   = "json"
	FormatPretty = "pretty"
)

func newFlusher() *Flusher {
	return &Flusher{Format: FormatJSON, JSON: formats.DefaultJSON(), out: os.Stdout}
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	Format string `option:"format" enum:"json,pretty" help:"json: one object a line. pretty: one line for people."`
	formats.JSON

	out     io.Writer
	shape   *protocol.JSONShape
	lines   *lines
	release func()
	runtime context.Context
}

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem { return f.JSON.Problems() }

// Init joins the one writer of the process.
func (f *Flusher) Init(c flushers.Context) error {
	f.shape = f.JSON.Compile(false)
	v, release, err := c.Shared("stdout", func() (io.Closer, error) { return newLines(f.out), nil })
	if err != nil {
		return err
	}
	shared, ok := v.(*lines)
	if !ok {
		release()
		return fmt.Errorf("couldn't share the standard output: another kind uses its key with a %T", v)
	}
	f.lines, f.release, f.runtime = shared, release, c.GetRuntimeContext()
	return nil
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false while a write of any lane has been blocked for a second:
// nobody reads the pipe.
func (f *Flusher) IsReady(string, string, int64) bool { return !f.lines.stuck() }

// Flush prints the groups.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{
		Project: project, Logstore: logstore, Config: config, Groups: groups,
	})
}

// FlushBatch prints the batch in one write, so that the lines of two lanes never
// mix. Its error is plain: the lines may be there in part, or be written later by a
// pipe that was blocked, and come again.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	buf := buffers.Get().(*[]byte)
	*buf = (*buf)[:0]
	key := protocol.Key{Project: b.Project, Logstore: b.Logstore, Config: b.Config}
	if f.Format == FormatPretty {
		for _, g := range b.Groups {
			*buf = appendPretty(*buf, key, g)
		}
	} else {
		*buf = f.shape.AppendLines(*buf, b.Groups...)
	}
	err := f.lines.write(ctx, *buf, func() {
		if cap(*buf) <= keepBuffer {
			buffers.Put(buf)
		}
	})
	if err != nil {
		return fmt.Errorf("couldn't write to the standard output: %w", err)
	}
	return nil
}

// SetUrgent changes nothing: nothing is ever held back.
func (f *Flusher) SetUrgent(bool) {}

// Stop leaves the shared writer.
func (f *Flusher) Stop() error {
	f.release()
	return nil
}

const keepBuffer = 1 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}
