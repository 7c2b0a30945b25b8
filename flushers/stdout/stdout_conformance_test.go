package stdout

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
)

// The standard output of the kind under test is a pipe that this test holds: a
// file to which whoever writes appends, so that a child process writes there too.
func TestConformance(t *testing.T) {
	t.Parallel()
	for format, read := range map[string]func([]byte) ([]flushertest.Record, error){
		FormatJSON:   flushertest.JSONLines,
		FormatPretty: prettyLines,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			v := &valve{}
			kind := Kind()
			kind.New = func() flushers.Flusher { return &piped{Flusher: *newFlusher(), valve: v} }
			flushertest.Run(t, kind, flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				path := filepath.Join(tb.TempDir(), "out")
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					tb.Fatal(err)
				}
				tb.Cleanup(v.open)
				return flushertest.Target{
					Options: map[string]any{"path": path, "format": format},
					Stored:  func() ([]flushertest.Record, error) { return printed(path, read) },
					Break:   func() { v.set(errors.New("broken pipe"), false) },
					Hang:    func() { v.set(nil, true) },
					Heal:    v.open,
				}
			}})
		})
	}
}

// piped is the kind with its standard output elsewhere.
type piped struct {
	Flusher
	Path string `option:"path,required" help:"Where the standard output goes." example:"/tmp/out"`

	valve *valve
}

func (f *piped) Init(c flushers.Context) error {
	f.out = &pipe{path: f.Path, valve: f.valve}
	return f.Flusher.Init(c)
}

type pipe struct {
	path  string
	valve *valve
}

func (p *pipe) Write(b []byte) (int, error) {
	if err := p.valve.pass(); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(p.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	n, err := f.Write(b)
	return n, errors.Join(err, f.Close())
}

// valve breaks a pipe, or stops its reader.
type valve struct {
	mu     sync.Mutex
	err    error
	opened chan struct{} // nil: open
}

func (v *valve) set(err error, shut bool) {
	v.open()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
	if shut {
		v.opened = make(chan struct{})
	}
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = nil
	if v.opened != nil {
		close(v.opened)
		v.opened = nil
	}
}

func (v *valve) pass() error {
	v.mu.Lock()
	err, opened := v.err, v.opened
	v.mu.Unlock()
	if opened != nil {
		<-opened
	}
	return err
}

// printed reads the lines; one that a kill cut off was never said to be stored.
func printed(path string, read func([]byte) ([]flushertest.Record, error)) ([]flushertest.Record, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return read(data[:bytes.LastIndexByte(data, '\n')+1])
}

// prettyLines reads what appendPretty writes: a time, a key, and fields.
func prettyLines(data []byte) ([]flushertest.Record, error) {
	var out []flushertest.Record
	for line := range strings.Lines(string(data)) {
		stamp, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return nil, err
		}
		r := flushertest.Record{Time: at, Fields: map[string]string{}}
		_, rest, _ = strings.Cut(rest, " ") // the key
		for rest != "" && rest[0] != '[' {
			var key, value string
			key, rest = prettyText(rest)
			if !strings.HasPrefix(rest, "=") {
				return nil, fmt.Errorf("the line %q has no = behind %q", line, key)
			}
			value, rest = prettyText(rest[1:])
			r.Fields[key] = value
			rest = strings.TrimPrefix(rest, " ")
		}
		out = append(out, r)
	}
	return out, nil
}

// prettyText takes a text, quoted or not, off the beginning.
func prettyText(s string) (text, rest string) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		text, _ = strconv.Unquote(quoted)
		return text, s[len(quoted):]
	}
	end := strings.IndexAny(s, " =")
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}
