package cmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

const reloadedFile = `source: {embedded: {}}
routes:
  - name: a
    when_blocked: wait
    flushers:
      - {type: blackhole, name: x}
      - {type: http, name: y, url: "http://127.0.0.1:1/", headers: {a: "${file:secret}"}}
`

// reloading is a reloader of a file with a secret beside it, and its worker, which
// does not run.
func reloading(t *testing.T) (r *reloader, w *worker.Worker) {
	t.Helper()
	kinds, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r = &reloader{path: filepath.Join(dir, "flushline.yaml"), kinds: kinds, log: zap.NewNop(), level: zap.NewAtomicLevel()}
	put(t, r.path, reloadedFile)
	put(t, filepath.Join(dir, "secret"), "one")
	cfg, _, err := r.first(func() (*configs.Config, *configs.Report, error) {
		cfg, report := configs.Load(r.path, kinds)
		return cfg, report, report.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if w, err = worker.New(cfg.Worker()); err != nil {
		t.Fatal(err)
	}
	return r, w
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatChangedIsTakenOverWhenItHasSettled(t *testing.T) {
	t.Parallel()
	r, w := reloading(t)
	looks := func(want bool, when string) {
		t.Helper()
		if got := r.changed(); got != want {
			t.Fatalf("%s: changed is %t", when, got)
		}
	}
	put(t, r.path, reloadedFile+"# early\n")
	looks(false, "before there is a worker")
	r.began(w, nil)
	looks(false, "at the first look")
	looks(true, "at the second")
	reload := func() *worker.Changes {
		t.Helper()
		c, err := r.reload("test")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	reload()
	looks(false, "after the reload")

	for i := range 5 {
		put(t, r.path, reloadedFile+strings.Repeat("# half written\n", i+1))
		looks(false, "while it is written")
	}
	reload()

	secret := filepath.Join(filepath.Dir(r.path), "secret")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	looks(false, "while the secret is away")
	put(t, secret, "one")
	looks(false, "when it is back")
	looks(false, "and the same")
	put(t, secret, "two")
	looks(false, "another secret")
	looks(true, "another secret, settled")
	if c := reload(); len(c.Changed) != 1 || c.Changed[0] != "a/y" {
		t.Errorf("after the secret changed: %+v", c)
	}

	put(t, r.path, "nonsense")
	looks(false, "a bad file")
	looks(true, "a bad file, settled")
	if _, err := r.reload("test"); err == nil || !strings.Contains(err.Error(), "flushline.yaml:1:") {
		t.Errorf("a bad file: %v", err)
	}
	looks(false, "a bad file is not tried again")
	put(t, r.path, reloadedFile+"reload: {watch: false}\nlog: {level: error}\n")
	looks(false, "mended")
	looks(true, "mended, settled")
	reload()
	if r.level.Level() != zap.ErrorLevel {
		t.Errorf("the log's level is %s", r.level)
	}
	put(t, r.path, reloadedFile)
	looks(false, "unwatched")
	looks(false, "unwatched, settled")
	if s := r.status(); s.Reloads != 4 || s.Failed != 1 || s.LastError != "" || s.Hash == "" || s.Loaded.IsZero() {
		t.Errorf("status: %+v", s)
	}
}

// Who asks while the broker is still being reached is not forgotten.
func TestAReloadThatComesTooEarlyIsMadeUpFor(t *testing.T) {
	t.Parallel()
	r, w := reloading(t)
	put(t, r.path, strings.Replace(reloadedFile, "name: x", "name: z", 1))
	if _, err := r.reload("test"); !errors.Is(err, admin.ErrNotNow) {
		t.Errorf("before there is a worker: %v", err)
	}
	r.began(w, nil)
	if f := w.Status().Flushers; len(f) != 2 || f[0].Flusher != "z" {
		t.Errorf("flushers: %+v", f)
	}
	if s := r.status(); s.Reloads != 1 || s.Failed != 0 {
		t.Errorf("status: %+v", s)
	}
}

func TestAReloadThatNeedsARestartIsRefused(t *testing.T) {
	t.Parallel()
	r, w := reloading(t)
	r.began(w, nil)
	put(t, r.path, reloadedFile+"limits: {window: 3}\n")
	if _, err := r.reload("test"); err == nil || err.Error() != "nothing was changed: limits.window (line 8) needs a restart" {
		t.Errorf("%v", err)
	}
	if s := r.status(); s.Failed != 1 || !strings.Contains(s.LastError, "limits.window") || s.LastErrorAt.IsZero() {
		t.Errorf("status: %+v", s)
	}
}

// What parks has its companions before it is taken over, or nothing is changed. With
// removed: park that is also what the flushers need that go.
func TestAReloadPreparesTheCompanions(t *testing.T) {
	t.Parallel()
	r, w := reloading(t)
	inner := newBox("nats")
	inner.refuses = errors.New("no right; as a user who may: flushline setup -c FILE")
	r.began(w, newLateParked(func(context.Context) (queue.Parked, error) { return inner, nil }))
	put(t, r.path, strings.Replace(reloadedFile, "wait", "park", 1))
	if _, err := r.reload("test"); err == nil || err.Error() != "nothing was changed: no right; as a user who may: flushline setup -c "+r.path {
		t.Errorf("%v", err)
	}
	if w.Status().Flushers[0].Flusher != "x" || r.cfg.Parks() || inner.prepared != 1 {
		t.Errorf("parks %t, prepared %d times", r.cfg.Parks(), inner.prepared)
	}
	inner.refuses = nil
	if _, err := r.reload("test"); err != nil || !r.cfg.Parks() || inner.prepared != 2 {
		t.Errorf("%v, prepared %d times", err, inner.prepared)
	}
	put(t, r.path, strings.Replace(reloadedFile, "name: x", "name: z", 1)+"removed: park\n")
	_, _ = r.reload("test") // this worker has nothing to park on; the companions were prepared before that
	var names []string
	for _, l := range inner.entries {
		names = append(names, l.Entry())
	}
	if got := strings.Join(names, " "); got != "a/z a/y a/x a/y" {
		t.Errorf("prepared for %s", got)
	}
}
