package proof_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/flushline/flushline/internal/proof"
)

func TestRunsAreKeptAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "proof")
	t.Setenv(proof.DirEnv, dir)
	t.Setenv(proof.CommitEnv, "0123abc")
	for _, name := range []string{"kills", "clean-stops", "kills"} {
		r := proof.Begin(name, "Nothing is lost.", "make kills")
		r.Fault("kill -9", 3)
		r.Fault("kill -9", 2)
		r.AtMost("lost", 0, 0, "logs")
		r.AtLeast("kills", 5, 5, "")
		r.Value("duplicates", 12, "logs")
		r.Note("%d of them came twice.", 12)
		r.End(t)
		runs, err := proof.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		at := len(runs) - 1
		if name == "clean-stops" {
			at = 0
		}
		if !reflect.DeepEqual(runs[at], r) || r.Failed || r.Faults["kill -9"] != 5 || r.Commit != "0123abc" {
			t.Errorf("kept %+v, read %+v", r, runs[at])
		}
	}
	if runs, err := proof.Load(dir); err != nil || len(runs) != 2 {
		t.Errorf("read %d runs (%v), want the two names", len(runs), err)
	}
}

func TestABoundThatIsNotKeptIsAFailure(t *testing.T) {
	t.Setenv(proof.DirEnv, t.TempDir()) // not among what is shown
	for of, add := range map[string]func(*proof.Run){
		"above": func(r *proof.Run) { r.AtMost("recovery", 3.1, 3, "s") },
		"below": func(r *proof.Run) { r.AtLeast("kills", 999, 1000, "") },
	} {
		r := proof.Begin("bounds", "", "")
		add(r)
		if err := r.Keep(false); err != nil || !r.Failed {
			t.Errorf("%s its bound: failed %t, %v", of, r.Failed, err)
		}
	}
}

func TestWhatIsNoRunIsRefused(t *testing.T) {
	for _, name := range []string{"", "../kills", "Kills", "kills-", "a--b"} {
		if err := proof.Begin(name, "", "").Keep(false); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	for file, content := range map[string]string{"a.json": `{"name":"b"}`, "b.json": `{`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if runs, err := proof.Load(dir); err == nil {
			t.Errorf("%s with %s was read: %+v", file, content, runs)
		}
	}
	if runs, err := proof.Load(filepath.Join(t.TempDir(), "away")); err != nil || len(runs) != 0 {
		t.Errorf("a directory that is not there has %d runs, %v", len(runs), err)
	}
}
