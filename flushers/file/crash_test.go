package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

type shape struct {
	name, path, format string
	encoding           protocol.Encoding
}

var shapes = []shape{
	{"lines", "a.jsonl", FormatJSONLines, protocol.EncodingNone},
	{"frames", "a.pb", FormatLogGroup, protocol.EncodingNone},
	{"gzip lines", "a.jsonl.gz", FormatJSONLines, protocol.EncodingGzip},
	{"zstd frames", "a.pb.zst", FormatLogGroup, protocol.EncodingZstd},
}

func (s *shape) file() string {
	n := splitName(s.path, suffixOf(s.encoding), "pod-0")
	return n.file(1)
}

func (s *shape) lane(t testing.TB, dir string) *Flusher {
	return lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(dir, s.path)(f)
		f.Format = s.format
	})
}

// messages reads the msg of every log, in order, and fails for anything torn.
func (s *shape) messages(t testing.TB, content string) []string {
	t.Helper()
	text := string(plain(t, s.encoding, content))
	var out []string
	if s.format == FormatJSONLines {
		for line := range strings.Lines(text) {
			_, rest, ok := strings.Cut(line, `{"contents":{"msg":"`)
			if !ok || !strings.HasSuffix(line, "}\n") {
				t.Fatalf("torn line %q", line)
			}
			msg, _, _ := strings.Cut(rest, `"`)
			out = append(out, msg)
		}
		return out
	}
	r := protocol.NewFrameReader(strings.NewReader(text), 0)
	for {
		frame, err := r.Next()
		if err != nil {
			if r.Offset() != int64(len(text)) {
				t.Fatalf("frame at %d: %v", r.Offset(), err)
			}
			return out
		}
		var g protocol.LogGroup
		if err := g.Unmarshal(frame.Data); err != nil {
			t.Fatal(err)
		}
		out = append(out, g.Logs[0].Contents[0].Value)
	}
}

func TestATornTailIsCutAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := s.lane(t, dir)
			p := filepath.Join(dir, s.file())
			var sizes []int
			for i := range 3 {
				mustFlush(t, f, group(1, fmt.Sprint("m", i)))
				sizes = append(sizes, len(tree(t, dir)[s.file()]))
			}
			stop(t, f)
			all := tree(t, dir)[s.file()]
			for cut := 0; cut <= len(all); cut++ {
				for _, tail := range []string{"", strings.Repeat("\x00", 100)} {
					left := all[:cut] + tail
					if err := os.WriteFile(p, []byte(left), 0o600); err != nil {
						t.Fatal(err)
					}
					whole := 0 // Flushes; zeros may happen to complete one
					for whole < 3 && strings.HasPrefix(left, all[:sizes[whole]]) {
						whole++
					}
					checkResumed(t, &s, dir, left, append([]int{0}, sizes...)[whole], whole)
				}
			}
		})
	}
}

// checkResumed flushes once more and expects that the whole Flushes of what a
// crash left, which end at an offset, and the new one are there.
func checkResumed(t *testing.T, s *shape, dir, left string, end, whole int) {
	t.Helper()
	f := s.lane(t, dir)
	mustFlush(t, f, group(1, "new"))
	stop(t, f)
	want := ""
	for i := range whole {
		want += fmt.Sprint("m", i, " ")
	}
	got := ""
	files := tree(t, dir)
	for _, name := range names(files) {
		content := files[name]
		if len(files) == 2 && name == s.file() {
			// Zeros inside a Flush need not look torn. Then nothing may be cut.
			if !strings.HasSuffix(left, "\x00") || content != left {
				t.Fatalf("a file of %d bytes was given up, or changed: %x became %x", len(left), left, content)
			}
			content = content[:end]
		}
		if content != "" {
			got += strings.Join(s.messages(t, content), " ") + " "
		}
		if name != s.file() {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got != want+"new " {
		t.Errorf("%d bytes left by a crash: got %q, want %q", len(left), got, want+"new ")
	}
}

func TestAForeignFileIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		for _, foreign := range []string{"something else\nentirely", "\x00\x00x\n", "\xf1LG\x01 but no frame, at least forty-four bytes long"} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, s.file()), []byte(foreign), 0o600); err != nil {
				t.Fatal(err)
			}
			f := s.lane(t, dir)
			mustFlush(t, f, group(1, "new"))
			files := tree(t, dir)
			if len(files) != 2 || files[s.file()] != foreign {
				t.Errorf("%s: %q became %q in %v", s.name, foreign, files[s.file()], names(files))
			}
		}
	}
}

func TestAnotherFormatDoesNotCutTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(dir, "a")(f)
		f.Format = FormatLogGroup
	})
	mustFlush(t, f, group(1, "line\nbreak"))
	stop(t, f)
	before := tree(t, dir)["a.pod-0.000001"]
	mustFlush(t, lane(t, new(flushertest.Process), key, at(dir, "a")), group(1, "json"))
	wantTree(t, dir, map[string]string{"a.pod-0.000001": before, "a.pod-0.000002": lines(group(1, "json"))})
}

const childEnv = "FLUSHLINE_FILE_TEST_CHILD"

// child flushes numbered logs for ever and prints each number once its Flush
// returned nil. Its environment names the directory and the shape.
func child() int {
	dir, which, _ := strings.Cut(os.Getenv(childEnv), "|")
	from, _ := strconv.Atoi(os.Getenv(childEnv + "_FROM"))
	s := shapes[0]
	for _, o := range shapes {
		if o.name == which {
			s = o
		}
	}
	f := newFlusher()
	f.Host, f.Format = "pod-0", s.format
	at(dir, s.path)(f)
	if err := f.Init(&processContext{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := from; ; i++ {
		if err := flush(f, group(1, fmt.Sprint("m", i))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(i)
	}
}

// processContext is the Context of a child process, which has no test.
type processContext struct {
	flushers.Context
	shared flushers.Shared
}

func (c *processContext) GetProject() string                 { return key.Project }
func (c *processContext) GetLogstore() string                { return key.Logstore }
func (c *processContext) GetConfigName() string              { return key.Config }
func (c *processContext) GetRuntimeContext() context.Context { return context.Background() }
func (c *processContext) Logger() *zap.Logger                { return zap.NewNop() }

func (c *processContext) Shared(k string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	return c.shared.Get(k, open)
}

// Not parallel: a process that is being started has, for a moment, the locks of
// all files that are open, and other tests would then find theirs taken.
func TestKilledProcessesLoseNothing(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			dir, acked := t.TempDir(), 0
			for range 3 {
				acked = runAndKill(t, dir, s.name, acked)
			}
			f := s.lane(t, dir) // mends what the last one left
			mustFlush(t, f, group(1, "end"))
			files := tree(t, dir)
			var got []string
			for _, name := range names(files) {
				got = append(got, s.messages(t, files[name])...)
			}
			seen := map[string]bool{}
			for _, m := range got {
				seen[m] = true
			}
			for i := range acked {
				if !seen[fmt.Sprint("m", i)] {
					t.Errorf("m%d was flushed and is not in the files", i)
				}
			}
			if len(files) != 1 {
				t.Errorf("%v, want one file that every process went on with", names(files))
			}
		})
	}
}

// runAndKill returns the number after the last one that a child confirmed.
func runAndKill(t *testing.T, dir, name string, from int) int {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir+"|"+name, childEnv+"_FROM="+strconv.Itoa(from))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	next, in := from, bufio.NewScanner(out)
	for in.Scan() {
		i, err := strconv.Atoi(in.Text())
		if err != nil {
			break // the kill cut the line
		}
		next = i + 1
		if next == from+50 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || next < from+50 {
		t.Fatalf("the child ended with %v after %d logs", err, next-from)
	}
	return next
}
