//go:build unix

package e2e

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/seed"
)

// Workers of one deployment are replaced one after the other by those of the next version
// under load, and back: old and new ones share a durable and a group meanwhile, nothing is
// lost, and nothing comes twice. The old version is that of the commit before, or of
// FLUSHLINE_PREVIOUS.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	rev := buildPrevious(t)
	run := proof.Begin("upgrade", "Workers are replaced under load by those of the version before and back: old and new share the queue, nothing is lost, and nothing comes twice.", size("make faults", "make e2e-long RUN=TestRollingUpgrade"))
	fleets := map[string]*fleet{}
	for _, queue := range []string{"nats", "kafka"} {
		fleets[queue] = &fleet{}
	}
	t.Run("all", func(t *testing.T) {
		for queue, f := range fleets {
			t.Run(queue, func(t *testing.T) {
				t.Parallel()
				if queue == "kafka" {
					f.rig, f.kafka = newKafkaRig(t)
					f.kafka.session = patient
				} else {
					f.rig = newRig(t, false)
				}
				f.roll(t, size(1, 5))
			})
		}
	})
	var replaced, duplicates, held int
	for queue, f := range fleets {
		run.Fault("workers upgraded on "+queue, f.up)
		run.Fault("workers taken back on "+queue, f.down)
		replaced, duplicates, held = replaced+f.up+f.down, duplicates+f.duplicates, held+f.held
	}
	if held == 0 {
		t.Error("no worker that was replaced held a message: nothing was shown")
	}
	run.AtLeast("workers replaced", float64(replaced), float64(size(1, 5)*2*2*len(crewNames)), "")
	run.Value("held when they were told to end", float64(held), "messages")
	run.AtMost("came twice", float64(duplicates), 0, "logs")
	run.Note("The version before is %s.", rev)
	run.End(t)
}

// buildPrevious builds the version before as bin/previous, from what git has of it, and
// says which it is. Without its history the test is skipped.
func buildPrevious(t *testing.T) string {
	t.Helper()
	asked := os.Getenv("FLUSHLINE_PREVIOUS")
	rev := cmp.Or(asked, "HEAD^")
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--verify", "--quiet", rev+"^{commit}")
	if err != nil {
		if asked != "" {
			t.Fatalf("FLUSHLINE_PREVIOUS=%s is no commit of this clone: fetch it, or name another", asked)
		}
		t.Skipf("there is no version before to upgrade from: this is no clone, or one without history (%s)", commit)
	}
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatalf("couldn't find the top of the clone: %s", top)
	}
	tree := filepath.Join(t.TempDir(), "previous")
	tar := tree + ".tar"
	if out, err := git("-C", top, "archive", "-o", tar, commit); err != nil {
		t.Fatalf("couldn't take %s out of git: %s", commit, out)
	}
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xf", tar, "-C", tree).CombinedOutput(); err != nil {
		t.Fatalf("couldn't unpack %s: %v\n%s", commit, err, out)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(bin, "previous"), "./cmd/flushline")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("couldn't build %s: %v\n%s", commit, err, out)
	}
	return commit
}

// fleet is three workers on one queue, of one version or of two.
type fleet struct {
	*rig
	kafka   *kafka
	configs map[string]string
	pods    map[string]*pod

	up, down, held, duplicates int
}

// roll replaces all workers by those of this version, one after the other, and then by
// those of the version before, so often.
func (f *fleet) roll(t *testing.T, rounds int) {
	t.Helper()
	rng := seed.New(t)
	f.configs, f.pods = map[string]string{}, map[string]*pod{}
	for _, name := range crewNames {
		f.configs[name] = f.config(t, name, 1000)
	}
	f.setup(t, f.configs[crewNames[0]])
	load := f.load(40)
	load.Rate = 300
	stop := f.producing(t, load)
	for _, name := range crewNames {
		f.begins(t, "previous", name)
	}
	for range rounds {
		for _, version := range []struct {
			program string
			count   *int
		}{{"flushline", &f.up}, {"previous", &f.down}} {
			for _, name := range crewNames {
				f.flows(t)
				<-time.After(moment(rng, 500*time.Millisecond))
				f.held += int(f.pods[name].held(t))
				f.pods[name].terminate(t)
				f.begins(t, version.program, name)
				*version.count++
			}
		}
	}
	stop()
	drainedRig(t, f.rig, f.kafka, 2*time.Minute)
	for _, name := range crewNames {
		f.pods[name].status(t)
		f.pods[name].terminate(t)
	}
	f.duplicates = f.judge(t, (*ledger.Verdict).Once)
}

// begins starts a worker and waits until it has its part of the queue.
func (f *fleet) begins(t *testing.T, program, name string) {
	t.Helper()
	f.pods[name] = f.pod(t, program, name, f.configs[name])
	if f.kafka != nil {
		f.kafka.settled(t, len(f.pods))
	}
	f.pods[name].serves(t)
}
