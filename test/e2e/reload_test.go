//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
)

// A worker under load is given other configurations again and again, by SIGHUP and
// by the swap of a symbolic link as a ConfigMap's: each flusher is replaced each
// time, a route comes and goes, and no log is lost or comes twice.
func TestReloadsUnderLoadLoseAndDuplicateNothing(t *testing.T) {
	t.Parallel()
	rounds := size(6, 60)
	rng := seed.New(t)
	r := newRig(t, false)
	r.drain, r.timeout = 30*time.Second, 30*time.Second // nothing hangs: a call that a busy disk holds up must not be given up
	m := newMounted(t, r)
	r.setup(t, m.path)
	load := r.load(30)
	load.Rate = 600
	stop := r.producing(t, load)
	p := r.pod(t, "flushline", "w1", m.path)
	eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > 50 })

	var held int64
	for i := range rounds {
		<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
		for _, s := range p.status(t).Strands {
			held += s.Held
		}
		m.swap(t, i+1)
		if i%2 == 0 {
			p.signal(syscall.SIGHUP) // else it finds out by itself
		}
		eventually(t, time.Minute, "the reload", func() bool { return p.status(t).Config.Reloads == int64(i+1) })
		seen := r.slow.logs.Load()
		eventually(t, time.Minute, "logs flow after the reload", func() bool { return r.slow.logs.Load() > seen+20 })
	}
	if held == 0 {
		t.Error("no reload met a message that was held: nothing was shown")
	}
	if c := p.status(t).Config; c.Failed != 0 {
		t.Errorf("%d reloads were refused, the last one with %s", c.Failed, c.LastError)
	}
	stop()
	r.broker.drained(t, time.Minute)
	p.terminate(t)
	if n := strings.Count(p.Log(), `"the configuration was taken over"`); n != rounds {
		t.Errorf("the log names %d reloads, want %d", n, rounds)
	}
	r.judge(t, (*ledger.Verdict).Once)
}

// mounted is a directory like that of a ConfigMap: the file is a link through ..data,
// which is swapped.
type mounted struct {
	dir   string
	path  string
	texts [2]string
}

func newMounted(t *testing.T, r *rig) *mounted {
	t.Helper()
	m := &mounted{dir: t.TempDir()}
	m.path = filepath.Join(m.dir, "flushline.yaml")
	for i := range m.texts {
		r.timeout -= time.Second // of each flusher
		text, err := os.ReadFile(r.config(t, "w1", 2000))
		if err != nil {
			t.Fatal(err)
		}
		m.texts[i] = string(text)
	}
	m.texts[1] = strings.Replace(m.texts[1], "\nroutes:\n", "\nroutes:\n  - {name: seldom, match: {project: seldom}, when_blocked: wait, flushers: [{type: blackhole, flush_timeout: 5s}]}\n", 1)
	if !strings.Contains(m.texts[1], "seldom") {
		t.Fatalf("no routes in\n%s", m.texts[1])
	}
	m.swap(t, 0)
	if err := os.Symlink(filepath.Join("..data", "flushline.yaml"), m.path); err != nil {
		t.Fatal(err)
	}
	return m
}

// swap puts the version of a round in place, in one step.
func (m *mounted) swap(t *testing.T, round int) {
	t.Helper()
	version, err := os.MkdirTemp(m.dir, "..version")
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(filepath.Join(version, "flushline.yaml"), []byte(m.texts[round%2]), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(m.dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(m.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}
