//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileJob delivers a tree of files. Beside those of the ledger it has text, whose
// lines come packed into groups: their count is in lines.
func fileJob(t *testing.T, groups int) *jobRig {
	t.Helper()
	f := newFiles(t)
	r := rigOn(t, f)
	r.first = func(pod string) string {
		return fmt.Sprintf(`
  - name: text
    match: {project: text}
    when_blocked: wait
    flushers:
      - {type: file, root: %q, path: "text/%s/{logstore}.jsonl", flush_timeout: 8s}`, r.dir, pod)
	}
	load := r.load(30)
	load.Groups, load.Logs = groups, 1
	r.produce(t, load)
	texts := writeTexts(t, f.tree, groups)
	planned := f.finish(t)
	return &jobRig{
		rig: r, config: r.config(t, "j1", 2000), name: "night", packed: packed,
		command:   []string{"backfill", f.tree, "--state", t.TempDir()},
		untouched: func(*testing.T) {},
		extra: func(t *testing.T, report *jobReport) {
			if report.Slices != planned {
				t.Errorf("the report is of %d files, there are %d", report.Slices, planned)
			}
			texts.judge(t, filepath.Join(r.dir, "text"), report)
		},
	}
}

// texts are files of numbered lines, by name.
type texts struct {
	lines map[string]int
	all   int
}

func writeTexts(t *testing.T, tree string, most int) *texts {
	t.Helper()
	w := &texts{lines: map[string]int{}}
	dir := filepath.Join(tree, "text", "words", "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for how, extension := range []string{"", ".gz", ".zst"} {
		name := fmt.Sprintf("form%d", how)
		var content bytes.Buffer
		for range 3 { // members
			var plain bytes.Buffer
			for range most {
				w.lines[name]++
				w.all++
				fmt.Fprintf(&plain, "%s line %d\n", name, w.lines[name])
			}
			if err := compressed(&content, how, plain.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name+".log"+extension), content.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// packed is how many lines a message has at most.
const packed = 1000

// judge expects each line, and no more of them twice than the report allows.
func (w *texts) judge(t *testing.T, root string, r *jobReport) {
	t.Helper()
	seen := map[string]int{}
	total := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			var l struct {
				Contents map[string]string `json:"contents"`
			}
			if json.Unmarshal(s.Bytes(), &l) != nil {
				continue // what a kill left
			}
			for _, text := range l.Contents {
				seen[text]++
				total++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	missing := 0
	for name, n := range w.lines {
		for i := range n {
			text := fmt.Sprintf("%s line %d", name, i+1)
			if seen[text] == 0 {
				missing++
			}
			delete(seen, text)
		}
	}
	t.Logf("text: %d lines, %d arrived", w.all, total)
	if missing > 0 || len(seen) > 0 {
		t.Errorf("of %d lines of text %d are missing, and %d are there that nobody wrote", w.all, missing, len(seen))
	}
	if twice := int64(total - w.all); twice > r.Twice*packed {
		t.Errorf("%d lines of text came twice, the report says at most %d messages of %d lines", twice, r.Twice, packed)
	}
}
