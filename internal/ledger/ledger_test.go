package ledger

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/protocol"
)

// bundle is a ledger of a few groups, all confirmed but the last, and the lines
// a faithful flusher would have written for them.
type bundle struct {
	book  Book
	lines [][]byte
	dir   string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	load := Load{Run: "r1", Keys: Keys(3, "shop", "bank"), Logs: 3, Bytes: 20, Start: time.Unix(1_700_000_000, 0)}
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	journal, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{dir: filepath.Join(dir, "out")}
	const groups = 9
	for range groups {
		n, err := journal.try(&load)
		if err != nil {
			t.Fatal(err)
		}
		if n < groups-1 {
			err = journal.confirm(n)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.lines = append(b.lines, jsonLines(t, load.group(n))...)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	if b.book, err = LoadBook(path); err != nil {
		t.Fatal(err)
	}
	return b
}

func jsonLines(t *testing.T, g *protocol.LogGroup) [][]byte {
	t.Helper()
	var lines [][]byte
	for _, log := range g.Logs {
		lines = append(lines, append(protocol.AppendJSONLog(nil, g, log), '\n'))
	}
	return lines
}

func (b *bundle) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) judge(t *testing.T, of Of) (*Verdict, Tally) {
	t.Helper()
	v, tally, err := Judge(b.book, Files{Root: b.dir, Run: "r1"}, of)
	if err != nil {
		t.Fatal(err)
	}
	return v, tally
}

func all(lines [][]byte) []byte { return bytes.Join(lines, nil) }

func TestAFaithfulDestinationIsAcquitted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, "shop/a.jsonl", all(b.lines))
	v, tally := b.judge(t, nil)
	// Groups have 1, 2, 3, 1, ... logs; the last of nine, of 3 logs, is unconfirmed.
	want := &Verdict{Confirmed: 15, Unknown: 3, Total: 18, Copies: map[int]int{1: 18}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
	if !v.Kept() || !v.Once() || tally != (Tally{Files: 1, Logs: 18}) {
		t.Errorf("kept %v, once %v, tally %+v", v.Kept(), v.Once(), tally)
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		plant func(lines [][]byte) [][]byte
		want  string
		kept  bool
	}{
		{
			"a lost log", func(l [][]byte) [][]byte { return l[1:] },
			"confirmed 15, unknown 3, found 17\nlost 1: 0-0\nspurious 0\ncorrupt 0\nduplicates 0; 17 ids x1\n", false,
		},
		{
			"an unconfirmed log that is missing", func(l [][]byte) [][]byte { return l[:15] },
			"confirmed 15, unknown 3, found 15\nlost 0\nspurious 0\ncorrupt 0\nduplicates 0; 15 ids x1\n", true,
		},
		{
			"duplicates", func(l [][]byte) [][]byte { return append(l, l[0], l[0], l[4]) },
			"confirmed 15, unknown 3, found 21\nlost 0\nspurious 0\ncorrupt 0\nduplicates 3; 16 ids x1; 1 ids x2; 1 ids x3\n", true,
		},
		{
			"a changed field", func(l [][]byte) [][]byte {
				l[0] = bytes.Replace(l[0], []byte(`line two`), []byte(`line 2`), 1)
				return l
			},
			"confirmed 15, unknown 3, found 18\nlost 1: 0-0\nspurious 0\ncorrupt 1: 0-0 in a.jsonl\nduplicates 0; 17 ids x1\n", false,
		},
		{
			"a dropped empty field", func(l [][]byte) [][]byte {
				l[3] = bytes.Replace(l[3], []byte(`"empty":"",`), nil, 1)
				return l
			},
			"confirmed 15, unknown 3, found 18\nlost 1: 2-0\nspurious 0\ncorrupt 1: 2-0 in a.jsonl\nduplicates 0; 17 ids x1\n", false,
		},
		{
			"a changed time", func(l [][]byte) [][]byte {
				l[0] = bytes.Replace(l[0], []byte(`"time":1700000000`), []byte(`"time":1700000001`), 1)
				return l
			},
			"confirmed 15, unknown 3, found 18\nlost 1: 0-0\nspurious 0\ncorrupt 1: 0-0 in a.jsonl\nduplicates 0; 17 ids x1\n", false,
		},
		{
			"a changed nanosecond", func(l [][]byte) [][]byte {
				l[0] = bytes.Replace(l[0], []byte(`"time_ns":0`), []byte(`"time_ns":1`), 1)
				return l
			},
			"confirmed 15, unknown 3, found 18\nlost 1: 0-0\nspurious 0\ncorrupt 1: 0-0 in a.jsonl\nduplicates 0; 17 ids x1\n", false,
		},
		{
			"a lost tag", func(l [][]byte) [][]byte {
				l[0] = bytes.Replace(l[0], []byte(`"log.topic":"access"`), []byte(`"x":"access"`), 1)
				return l
			},
			"confirmed 15, unknown 3, found 18\nlost 1: 0-0\nspurious 0\ncorrupt 1: 0-0 in a.jsonl\nduplicates 0; 17 ids x1\n", false,
		},
		{
			"a log nobody sent", func(l [][]byte) [][]byte {
				return append(l, bytes.Replace(l[0], []byte("r1-0-0"), []byte("r1-99-0"), 1))
			},
			"confirmed 15, unknown 3, found 19\nlost 0\nspurious 1: 99-0 in a.jsonl\ncorrupt 0\nduplicates 0; 18 ids x1\n", false,
		},
		{
			"a log of another run", func(l [][]byte) [][]byte {
				return append(l, bytes.Replace(l[0], []byte("r1-0-0"), []byte("r2-0-0"), 1))
			},
			"confirmed 15, unknown 3, found 19\nlost 0\nspurious 1: 0-0 in a.jsonl\ncorrupt 0\nduplicates 0; 18 ids x1\n", false,
		},
		{
			"a line that is no JSON", func(l [][]byte) [][]byte { return append(l, []byte("{\"contents\"\n")) },
			"confirmed 15, unknown 3, found 19\nlost 0\nspurious 0\ncorrupt 1: unreadable in a.jsonl\nduplicates 0; 18 ids x1\n", false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			planted := all(tt.plant(b.lines))
			b.write(t, "a.jsonl", planted)
			v, _ := b.judge(t, nil)
			if diff := cmp.Diff(tt.want, v.String()); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if v.Kept() != tt.kept {
				t.Errorf("kept %v, want %v", v.Kept(), tt.kept)
			}
			if v.Once() {
				if v.Duplicates > 0 || !tt.kept {
					t.Errorf("once is true")
				}
			}
		})
	}
}

func TestNothingConfirmedIsNoAcquittal(t *testing.T) {
	t.Parallel()
	if v := NewCount(nil, nil).Verdict(); v.Kept() {
		t.Error("an empty run was acquitted")
	}
}

func TestKeysOfAnotherDestinationAreSpurious(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, "a.jsonl", all(b.lines))
	v, _ := b.judge(t, func(k protocol.Key) bool { return k.Project == "shop" })
	// Keys go round shop, bank, shop: the middle of three has two logs a group.
	if v.Spurious.Count != 6 || v.Confirmed != 9 || v.Lost.Count != 0 {
		t.Errorf("got %v", v)
	}
}

func TestLogsInTheWrongFileAreCorrupt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, "shop/all.jsonl", all(b.lines))
	place := func(path string, k protocol.Key) bool { return strings.HasPrefix(path, k.Project+"/") }
	v, _, err := Judge(b.book, Files{Root: b.dir, Run: "r1", Place: place}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.Corrupt.Count != 6 {
		t.Errorf("got %v", v)
	}
}

func TestTornTailsAreReadUpToTheTear(t *testing.T) {
	t.Parallel()
	b := setup(t)
	half := all(b.lines)
	half = half[:len(half)-40] // the last log is unconfirmed
	tests := map[string][]byte{
		"a.jsonl":       half,
		"b.jsonl.gz":    torn(gzipped(t, b.lines...)),
		"c.jsonl.zst":   torn(zstdFrames(t, b.lines...)),
		"d.jsonl.gz":    {0x1f},
		"e/empty.jsonl": {},
	}
	for name, content := range tests {
		b.write(t, name, content)
	}
	v, tally := b.judge(t, nil)
	if !v.Kept() || v.Total != 51 || v.Duplicates != 34 {
		t.Errorf("got %v", v)
	}
	if want := (Tally{Files: 5, Logs: 51, Torn: 4}); tally != want {
		t.Errorf("got %+v, want %+v", tally, want)
	}
}

func torn(b []byte) []byte { return b[:len(b)-40] }

// gzipped makes one member of each line, as a flusher does for each Flush.
func gzipped(t *testing.T, lines ...[]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	for _, l := range lines {
		w := gzip.NewWriter(&buf)
		if _, err := w.Write(l); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func zstdFrames(t *testing.T, lines ...[]byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, l := range lines {
		out = enc.EncodeAll(l, out)
	}
	return out
}

func TestAJournalGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	load := Load{Run: "r", Keys: Keys(2, "p"), Logs: 1}
	path := filepath.Join(t.TempDir(), "journal")
	for want := range uint64(3) {
		j, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := j.try(&load)
		if err != nil || n != want {
			t.Fatalf("got number %d, %v; want %d", n, err, want)
		}
		if n != 1 {
			err = j.confirm(n)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("t 3 1 \"p"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	book, err := LoadBook(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Book{
		{Key: load.Keys[0], Logs: 1, Confirmed: true},
		{Key: load.Keys[1], Logs: 1},
		{Key: load.Keys[0], Logs: 1, Confirmed: true},
	}
	if diff := cmp.Diff(want, book); diff != "" {
		t.Errorf("book (-want +got):\n%s", diff)
	}
}

func TestABrokenJournalIsRefused(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"c 0\n", "t 1 1 \"p\" \"l\" \"c\"\n", "x\n"} {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBook(path); err == nil {
			t.Errorf("a journal of %q was read", content)
		}
	}
}
