package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func compressed(t testing.TB, how string, pieces ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, p := range pieces {
		var w io.WriteCloser
		switch how {
		case "gzip":
			w = gzip.NewWriter(&out)
		case "zstd":
			z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			w = z
		default:
			out.Write(p)
			continue
		}
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func written(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sliceOf plans a file.
func sliceOf(t testing.TB, cfg *Config, path string) job.Slice {
	t.Helper()
	plan, err := Find(context.Background(), cfg, []string{path}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range plan.Slices {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Fatalf("no slice of %s", path)
	return job.Slice{}
}

func inputOf(t testing.TB, cfg *Config) *Input {
	t.Helper()
	in, err := New(cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// all is what reading a slice brought.
type all struct {
	messages []queue.Message
	origins  []queue.Origin
	damage   []job.Damage
	next     int64
}

var errEndless = errors.New("reading does not come to an end")

// readAll reads to the end. Each step has to get on.
func readAll(in *Input, s *job.Slice, at, bytes int64) (a all, err error) {
	ctx := context.Background()
	r, err := in.Open(ctx, s, at)
	if err != nil {
		return a, err
	}
	defer r.Close()
	a.next = at
	for range 1 << 20 {
		b, err := r.Read(ctx, bytes)
		if err := checkBatch(&a, &b); err != nil {
			return a, err
		}
		switch {
		case errors.Is(err, io.EOF):
			return a, nil
		case err != nil:
			return a, err
		}
	}
	return a, errEndless
}

// checkBatch adds a batch, and holds it against what job.Batch promises.
func checkBatch(a *all, b *job.Batch) error {
	if b.Next < a.next {
		return fmt.Errorf("Next went back from %d to %d", a.next, b.Next)
	}
	if len(b.Origins) != len(b.Messages) {
		return fmt.Errorf("%d origins for %d messages", len(b.Origins), len(b.Messages))
	}
	least := a.next
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Position < least || m.Position >= b.Next {
			return fmt.Errorf("position %d is not within %d and %d", m.Position, least, b.Next)
		}
		least = m.Position + 1
	}
	a.messages = append(a.messages, b.Messages...)
	a.origins = append(a.origins, b.Origins...)
	a.damage = append(a.damage, b.Damage...)
	a.next = b.Next
	return nil
}

// logs are the logs of all good messages as JSON lines, in order.
func (a *all) logs(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, g := range a.groups(t) {
		for _, l := range g.Logs {
			out = append(out, string(protocol.AppendJSONLog(nil, g, l)))
		}
	}
	return out
}

func (a *all) groups(t testing.TB) []*protocol.LogGroup {
	t.Helper()
	var out []*protocol.LogGroup
	for i := range a.messages {
		m := &a.messages[i]
		if _, bad := m.Header(queue.HeaderDamage); bad {
			continue
		}
		contentType, _ := m.Header(protocol.HeaderContentType)
		f, err := protocol.ParseContentType(contentType)
		if err != nil {
			t.Fatal(err)
		}
		_, groups, err := protocol.Scan(m.Value, f, protocol.EncodingNone, nil, nil)
		if err != nil {
			t.Fatalf("the message at %d: %v", m.Position, err)
		}
		for i := range groups {
			out = append(out, groups[i].Decode())
		}
	}
	return out
}

func jsonLine(i int) string {
	return fmt.Sprintf(`{"contents":{"n":"%d","text":"some words that compress"},"tags":{"host":"h%d"},"time":%d}`, i, i/700%3, 1700000000+i)
}

func jsonLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		b.WriteString(jsonLine(i) + "\n")
	}
	return b.Bytes()
}

// resumes: reading that begins where it once was goes on as it did.
func resumes(t testing.TB, in *Input, s *job.Slice, whole *all) {
	t.Helper()
	for i := range whole.messages {
		at := whole.messages[i].Position
		a, err := readAll(in, s, at, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(whole.messages[i:], a.messages) {
			t.Fatalf("from %d: %d messages, want %d", at, len(a.messages), len(whole.messages)-i)
		}
		if !slices.Equal(whole.origins[i:], a.origins) || a.next != whole.next {
			t.Fatalf("from %d: next %d, want %d; or other origins", at, a.next, whole.next)
		}
	}
	a, err := readAll(in, s, whole.next, 1<<20)
	if err != nil || len(a.messages) > 0 || a.next != whole.next {
		t.Fatalf("from the end: %d messages, next %d, %v", len(a.messages), a.next, err)
	}
}

// rewrite puts another content into a file of a test.
func rewrite(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
