package logfile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
)

// A file that was cut off anywhere: what is whole before the cut comes, the rest is
// told of once, and reading ends.
func TestFilesCutOffAnywhere(t *testing.T) {
	t.Parallel()
	text := jsonLines(8)
	framed, _ := framesOf(4)
	list := (&protocol.LogGroupList{LogGroupList: someGroups(5)}).AppendMarshal(nil)
	for _, c := range []struct {
		name  string
		whole []byte
	}{{"lines", text}, {"frames", framed}, {"list", list}} {
		for _, how := range compressions {
			t.Run(c.name+" "+how, func(t *testing.T) {
				t.Parallel()
				cfg := DefaultConfig()
				cfg.Format = map[string]string{"lines": "json", "frames": "frames", "list": "loggrouplist"}[c.name]
				in := inputOf(t, &cfg)
				half := len(c.whole) / 2
				file := compressed(t, how, c.whole[:half], c.whole[half:])
				path := written(t, "a", file)
				complete := sliceOf(t, &cfg, path)
				all, err := readAll(in, &complete, 0, 1)
				if err != nil || len(all.damage) > 0 {
					t.Fatalf("the whole file: %v, %v", err, all.damage)
				}
				want := all.logs(t)
				for cut := range file {
					rewrite(t, path, file[:cut])
					s := sliceOf(t, &cfg, path)
					a, err := readAll(in, &s, 0, 1)
					if err != nil {
						t.Fatalf("cut at %d: %v", cut, err)
					}
					got := a.logs(t)
					if len(got) > len(want) || !equalTexts(got, want[:len(got)]) {
						t.Fatalf("cut at %d: %s", cut, cmp.Diff(want, got))
					}
					if len(a.damage) > 1 {
						t.Fatalf("cut at %d: damage %v", cut, a.damage)
					}
					if len(a.damage) == 0 && how == "gzip" && cut > 0 && len(got) == 0 {
						t.Fatalf("cut at %d: nothing came and nobody says so", cut)
					}
					if cut%7 == 0 {
						resumes(t, in, &s, &a)
					}
				}
			})
		}
	}
}

func equalTexts(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

func someGroups(n int) (groups []*protocol.LogGroup) {
	for i := range n {
		groups = append(groups, &protocol.LogGroup{Topic: fmt.Sprint("t", i), Logs: []*protocol.Log{
			{Time: uint32(i + 1), Contents: []*protocol.Log_Content{{Key: "k", Value: "v"}}},
		}})
	}
	return groups
}

// A bit that changed in a compressed file never is an endless loop or a panic, and
// what comes before it is right.
func TestCompressedFilesWithAWrongByte(t *testing.T) {
	t.Parallel()
	text := jsonLines(40)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, how := range compressions[1:] {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			cfg.Format = "json"
			in := inputOf(t, &cfg)
			file := compressed(t, how, text[:len(text)/2], text[len(text)/2:])
			path := written(t, "a", file)
			for i := range file {
				b := bytes.Clone(file)
				b[i] ^= 1 << (i % 8)
				rewrite(t, path, b)
				s := sliceOf(t, &cfg, path)
				a, err := readAll(in, &s, 0, 1<<20)
				if err != nil {
					t.Fatalf("byte %d: %v", i, err)
				}
				got := a.logs(t)
				if len(a.damage) == 0 && !equalTexts(got, lines) {
					t.Errorf("byte %d: %d of %d logs without damage", i, len(got), len(lines))
				}
			}
		})
	}
}

func TestWhereACompressedFileBreaksOffIsSaid(t *testing.T) {
	t.Parallel()
	for _, how := range compressions[1:] {
		text := jsonLines(5000)
		file := compressed(t, how, text)
		cfg := DefaultConfig()
		s := sliceOf(t, &cfg, written(t, "a", file[:len(file)*2/3]))
		in := inputOf(t, &cfg)
		a, err := readAll(in, &s, 0, 1<<20)
		if err != nil || len(a.damage) != 1 {
			t.Fatalf("%s: %v, %v", how, err, a.damage)
		}
		d := a.damage[0]
		logs := a.logs(t)
		if d.Length != -1 || !strings.Contains(d.Why, how) || !strings.Contains(d.Why, "of the file") || len(logs) < 1000 {
			t.Errorf("%s: %d logs, damage %+v", how, len(logs), d)
		}
		if before := len(strings.Join(logs, "\n")) + 1; d.Offset != int64(before) {
			t.Errorf("%s: damage at %d, the logs end at %d", how, d.Offset, before)
		}
		resumes(t, in, &s, &a)
	}
}
