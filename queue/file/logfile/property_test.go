package logfile

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// piece is a part of a file: some lines, frames, or what is neither.
func piece(t *rapid.T) []byte {
	n := rapid.IntRange(1, 40).Draw(t, "n")
	switch rapid.IntRange(0, 9).Draw(t, "piece") {
	case 0:
		return []byte("no json\n")
	case 1:
		return []byte(strings.Repeat("\n", n))
	case 2:
		return []byte(`{"long":"` + strings.Repeat("x", n*15000) + `"}` + "\n")
	case 3:
		return bytes.Repeat([]byte("{\"a\":\"1\"}\n"), n*100)
	case 4:
		return frameOf(n)
	case 5:
		b := frameOf(n)
		b[n%len(b)] ^= 1
		return b
	case 6:
		return []byte(jsonLine(n)[:n])
	case 7:
		return bytes.Repeat([]byte{byte(n)}, n*100)
	}
	return jsonLines(n * 30)
}

// Whatever a file holds, reading it gets on, ends, accounts for every byte of what is
// not compressed, does not depend on how much is asked for, and goes on anywhere as it
// did before.
func TestReadingDependsOnNothingButTheContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		var content []byte
		for range rapid.IntRange(0, 6).Draw(rt, "pieces") {
			content = append(content, piece(rt)...)
		}
		how := rapid.SampledFrom(compressions).Draw(rt, "compression")
		file := compressed(t, how, content[:len(content)/3], content[len(content)/3:])
		if rapid.Bool().Draw(rt, "damaged") && len(file) > 0 {
			i := rapid.IntRange(0, len(file)-1).Draw(rt, "at")
			if rapid.Bool().Draw(rt, "cut") {
				file = file[:i]
			} else {
				file[i] ^= 0xff
			}
		}
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			rt.Fatal(err)
		}
		cfg := DefaultConfig()
		cfg.MaxLine = 256 << 10
		cfg.Format = rapid.SampledFrom([]string{"auto", "json", "text", "frames", "loggrouplist"}).Draw(rt, "format")
		in := inputOf(t, &cfg)
		s := sliceOf(t, &cfg, path)
		whole, err := readAll(in, &s, 0, 1<<20)
		if err != nil {
			rt.Fatal(err)
		}
		again, err := readAll(in, &s, 0, 1)
		if err != nil || !same(&whole, &again, 0) {
			rt.Fatalf("asked for less: %d messages, want %d; %v", len(again.messages), len(whole.messages), err)
		}
		if n := len(whole.messages); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(rt, "from")
			rest, err := readAll(in, &s, whole.messages[i].Position, 1<<20)
			if err != nil || !same(&whole, &rest, i) {
				rt.Fatalf("from message %d: %d messages, want %d; %v", i, len(rest.messages), n-i, err)
			}
		}
		if how == "none" && len(file) > 0 && cfg.Format != "loggrouplist" && whole.next < s.Size && !isWhole(in, &s) {
			rt.Fatalf("next is %d of %d", whole.next, s.Size)
		}
		length := int64(0)
		for _, d := range whole.damage {
			length += max(d.Length, 0)
		}
		if how == "none" && length > s.Size {
			rt.Fatalf("%d of %d bytes are damaged", length, s.Size)
		}
	})
}

func same(whole, rest *all, from int) bool {
	return slices.EqualFunc(whole.messages[from:], rest.messages, func(a, b queue.Message) bool {
		return a.Position == b.Position && bytes.Equal(a.Value, b.Value) && slices.Equal(a.Headers, b.Headers)
	}) && slices.Equal(whole.origins[from:], rest.origins) && whole.next == rest.next
}

func isWhole(in *Input, s *job.Slice) bool {
	r := newReader(in, s, 0)
	defer r.Close()
	return r.open(context.Background()) == nil && r.layout.kind == whole
}

func FuzzReader(f *testing.F) {
	text, _ := framesOf(3)
	list := someGroups(3)
	for _, how := range compressions {
		f.Add(compressed(f, how, jsonLines(20)), "a.jsonl", false)
		f.Add(compressed(f, how, text), "a", false)
		f.Add(compressed(f, how, list[0].AppendMarshal(nil)), "a", true)
	}
	f.Add([]byte("\n{\n\x08"), "a.log", true)
	f.Add([]byte("[\n{\"a\":1}\n]"), "a", false)
	f.Fuzz(func(t *testing.T, content []byte, name string, list bool) {
		cfg := DefaultConfig()
		if list {
			cfg.Format = "loggrouplist"
		}
		in := inputOf(t, &cfg)
		in.whole = 1 << 20
		dir := t.TempDir()
		if name = filepath.Base(name); !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00/\\:") || len(name) > 100 {
			name = "a"
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Skip("no name for a file: ", err)
		}
		s := sliceOf(t, &cfg, path)
		whole, err := readAll(in, &s, 0, 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		_ = whole.groups(t)
		if n := len(whole.messages); n > 0 {
			i := len(content) % n
			rest, err := readAll(in, &s, whole.messages[i].Position, 1)
			if err != nil || !same(&whole, &rest, i) {
				t.Fatalf("from message %d: %d messages, want %d; %v", i, len(rest.messages), n-i, err)
			}
		}
	})
}
