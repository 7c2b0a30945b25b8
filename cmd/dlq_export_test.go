package cmd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

func exported(t *testing.T, box queue.LetterBox, to string, jsonLines bool) (string, error) {
	t.Helper()
	p, out := printing()
	o := &dlqExportOptions{to: to, jsonLines: jsonLines}
	if err := o.check(nil); err != nil {
		t.Fatal(err)
	}
	err := p.exportLetters(t.Context(), o, shopRoutes, box)
	return out.String(), err
}

// Everything is in a directory: frames with key, id and the very bytes, and payloads of
// what cannot be one.
func TestAnExportLosesNothing(t *testing.T) {
	t.Parallel()
	whole := groupLetter(2, "b") // a message of two groups, none left out
	first, second := whole.Value, groupLetter(2, "c").Value
	whole.Value = protocol.AppendListEntry(protocol.AppendListEntry(nil, first), second)
	whole.Headers = append([]queue.Header{{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroupList}}, whole.Headers...)
	whole.Headers = withoutHeader(whole.Headers, queue.HeaderGroups)
	bad := kept("D", 3, queue.HeaderReason, worker.ReasonUndecodable)
	bad.Value = []byte("no group")
	damaged := groupLetter(4, "d")
	damaged.Damage = errors.New("cut")
	one := groupLetter(1, "a")
	box := &keptBox{letters: []*queue.Letter{one, whole, bad, damaged}}

	dir := filepath.Join(t.TempDir(), "out") + string(filepath.Separator)
	said, err := exported(t, box, dir, false)
	if report(io.Discard, err) != exitIncomplete || !strings.Contains(said, "left D/4: cut\n") || !strings.Contains(said, "3 LogGroups, 1 payload as they are") {
		t.Errorf("%v, %s", err, said)
	}
	payload, err := os.ReadFile(filepath.Join(dir, "D-3.payload"))
	if err != nil || string(payload) != "no group" {
		t.Errorf("%q, %v", payload, err)
	}
	f, err := os.Open(filepath.Join(dir, "letters.frames"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	frames := protocol.NewFrameReader(f, 0)
	for i, want := range []struct {
		id   protocol.ID
		data []byte
	}{
		{protocol.ID{Origin: queue.Origin{1, 7}, Group: 3}, one.Value},
		{protocol.ID{Origin: queue.Origin{2, 7}, Group: 0}, first},
		{protocol.ID{Origin: queue.Origin{2, 7}, Group: 1}, second},
	} {
		got, err := frames.Next()
		if err != nil || got.ID != want.id || !bytes.Equal(got.Data, want.data) || got.Key != (protocol.Key{Project: "shop", Logstore: "web", Config: "c"}) {
			t.Errorf("frame %d: %+v, %v", i, got, err)
		}
	}
	if _, err := frames.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("and more: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(filepath.Clean(dir)))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func withoutHeader(hs []queue.Header, name string) []queue.Header {
	var out []queue.Header
	for _, h := range hs {
		if h.Key != name {
			out = append(out, h)
		}
	}
	return out
}

func TestAnExportAsJSONIsForPeople(t *testing.T) {
	t.Parallel()
	bad := kept("D", 2, queue.HeaderReason, worker.ReasonUndecodable)
	bad.Value = []byte("no group")
	path := filepath.Join(t.TempDir(), "out.json")
	if said, err := exported(t, &keptBox{letters: []*queue.Letter{groupLetter(1, "<a>"), bad}}, path, true); err != nil {
		t.Fatal(err, said)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"Key":"msg","Value":"<a>"`) || !strings.Contains(lines[0], `{"name":"trace","value":"abc"}`) || !strings.Contains(lines[1], `"payload":"bm8gZ3JvdXA="`) {
		t.Errorf("%s", got)
	}
}

// Neither a file nor anything beside it is touched by an export that cannot be.
func TestAnExportReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "there")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := &keptBox{letters: manyLetters().letters, never: errors.New("connection lost")}
	bad := kept("D", 2)
	for name, tc := range map[string]struct {
		box  *keptBox
		to   string
		code int
	}{
		"a file that is there":        {broken, file, exitUsage},
		"a directory that is full":    {broken, dir, exitUsage},
		"a directory that is missing": {broken, filepath.Join(dir, "no", "file"), exitUsage},
		"a file as a directory":       {broken, file + string(filepath.Separator), exitUsage},
		"a box that breaks":           {broken, filepath.Join(dir, "new"), exitFailed},
		"no letter":                   {&keptBox{}, filepath.Join(dir, "new"), exitDone},
		"nothing that can be a frame": {&keptBox{letters: []*queue.Letter{bad}}, filepath.Join(dir, "new"), exitIncomplete},
	} {
		said, err := exported(t, tc.box, tc.to, false)
		if code := report(io.Discard, err); code != tc.code {
			t.Errorf("%s: exit code %d, want %d: %v, %s", name, code, tc.code, err, said)
		}
	}
	got, err := os.ReadFile(file)
	entries, _ := os.ReadDir(dir)
	if err != nil || string(got) != "mine" || len(entries) != 1 {
		t.Errorf("%q, %v, %v", got, err, entries)
	}
}

// What came into the place of an export while it was read is not replaced.
func TestAnExportThatComesTooLateReplacesNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"file", "dir/"} {
		path := filepath.Join(t.TempDir(), name)
		if strings.HasSuffix(name, "/") {
			path += string(filepath.Separator)
		}
		target, err := openExport(path, "first")
		if err != nil {
			t.Fatal(err)
		}
		there := path
		if target.dir {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			there = filepath.Join(path, "f")
		}
		if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := target.finish(); err == nil {
			t.Errorf("%s was replaced", name)
		}
		entries, err := os.ReadDir(filepath.Dir(filepath.Clean(path)))
		if got, _ := os.ReadFile(there); string(got) != "mine" || err != nil || len(entries) != 1 {
			t.Errorf("%s: %q, %v, %v", name, got, entries, err)
		}
	}
}
