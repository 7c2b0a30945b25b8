package job_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/job/jobtest"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func openDir(t *testing.T, dir string) job.State {
	t.Helper()
	st, err := job.OpenDir(dir, "nightly")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func TestADirectoryKeepsAJob(t *testing.T) {
	t.Parallel()
	jobtest.Run(t, func(t *testing.T) jobtest.Place {
		dir := filepath.Join(t.TempDir(), "state", "jobs")
		return jobtest.Place{Open: func(t *testing.T) job.State { return openDir(t, dir) }}
	})
}

func publishNothing(t *testing.T, st job.State) {
	t.Helper()
	none := func(func([]byte, error) bool) {}
	if err := st.Publish(t.Context(), none, func(int) ([]byte, error) { return []byte("{}"), nil }); err != nil {
		t.Fatal(err)
	}
}

func TestTheJobsOfADirectoryAreThoseThatBegan(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "jobs")
	if names, err := job.DirJobs(dir); err != nil || len(names) > 0 {
		t.Fatalf("jobs of a directory that is not there: %v and %v", names, err)
	}
	for _, name := range []string{"b", "a"} {
		st, err := job.OpenDir(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		publishNothing(t, st)
	}
	if err := os.MkdirAll(filepath.Join(dir, "c"), 0o750); err != nil { // never began
		t.Fatal(err)
	}
	if names, err := job.DirJobs(dir); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("jobs are %v and %v", names, err)
	}
}

func TestTheNameOfAJobIsNoPath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "..", "a/b", `a\b`, "a.b", "über"} {
		if _, err := job.OpenDir(t.TempDir(), name); err == nil {
			t.Errorf("%q is taken for the name of a job", name)
		}
	}
}

// A publisher that was killed leaves what nobody refers to; whoever wins clears up.
func TestTheNextToBeginAJobRemovesWhatADeadPublisherLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	orphan := filepath.Join(dir, "nightly", "plan-0123456789abcdef")
	if err := os.MkdirAll(orphan, 0o750); err != nil {
		t.Fatal(err)
	}
	publishNothing(t, openDir(t, dir))
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the orphan is still there: %v", err)
	}
}

func TestAHolderWhoseDirectoryWasDeletedHasLostTheShard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st := openDir(t, dir)
	publishNothing(t, st)
	old, err := st.Claim(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "nightly")); err != nil {
		t.Skipf("a directory in use cannot be deleted here: %v", err)
	}
	other := openDir(t, dir)
	publishNothing(t, other)
	if _, err := other.Claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := old.Save(context.Background(), []byte("old")); !errors.Is(err, job.ErrLost) {
		t.Fatalf("save returned %v, want ErrLost", err)
	}
	<-old.Lost()
	if got, err := other.Checkpoint(t.Context(), 0); got != nil || err != nil {
		t.Errorf("the old holder wrote %q into the new job (%v)", got, err)
	}
}
