package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/flushline/flushline/cmd"
	"github.com/flushline/flushline/internal/leak"
)

// asProgram makes this test's binary the program.
const asProgram = "FLUSHLINE_DEPLOY_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cmd.Main())
	}
	os.Exit(leak.Check(m.Run()))
}

// program runs flushline with what a manifest gives it, and returns its exit code and
// what it said.
func program(t *testing.T, env []string, args ...string) (code int, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// pretend puts values in the place of what Kubernetes would: variables in
// arguments, the configuration, the volumes. Brokers are away.
func pretend(t *testing.T, w *workload) (args []string, env []string) {
	t.Helper()
	dir := t.TempDir()
	file, content := config(t, w)
	reach := strings.NewReplacer(
		"{url: nats://nats:4222", "{url: nats://127.0.0.1:1, connect_timeout: 1ms",
		"/var/lib/flushline", dir,
	)
	here := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(here, []byte(reach.Replace(content)), 0o600); err != nil {
		t.Fatal(err)
	}
	args = strings.Split(reach.Replace(strings.ReplaceAll(strings.Join(w.program.Args, "\n"), file, here)), "\n")
	for _, e := range w.program.Env {
		env = append(env, e.Name+"=value")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "$("+e.Name+")", "value")
		}
	}
	return args, env
}

// With the arguments and the configuration of its manifest each job comes as far as its
// broker, which is away: 69, and not 64.
func TestTheProgramTakesWhatJobsGiveIt(t *testing.T) {
	t.Parallel()
	codes := exitCodes(t)
	for _, w := range jobs(t) {
		t.Run(w.id, func(t *testing.T) {
			t.Parallel()
			args, env := pretend(t, &w)
			for index := range max(w.Completions, 1) {
				with := append(env, "JOB_COMPLETION_INDEX="+strconv.Itoa(index))
				if w.CompletionMode != "Indexed" {
					with = env
				}
				if code, said := program(t, with, args...); code != codes["exitUnavailable"] {
					t.Errorf("%q ended with %d, want %d; it said:\n%s", args, code, codes["exitUnavailable"], said)
				}
			}
		})
	}
}

// More pods than shards, and what is no flag, are mistakes that the program tells, so
// that the test above is one.
func TestTheProgramRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	want := exitCodes(t)["exitUsage"]
	for _, w := range jobs(t) {
		t.Run(w.id, func(t *testing.T) {
			t.Parallel()
			args, env := pretend(t, &w)
			code, said := program(t, env, append(args, "--no-such-flag=1")...)
			if code != want || !strings.Contains(said, "no-such-flag") {
				t.Errorf("a flag that there is not: %d, want %d; it said:\n%s", code, want, said)
			}
			if w.CompletionMode != "Indexed" {
				return
			}
			env = append(env, "JOB_COMPLETION_INDEX="+strconv.Itoa(w.Completions))
			code, said = program(t, env, args...)
			if code != want || !strings.Contains(said, "--of") {
				t.Errorf("a pod more than --of: %d, want %d; it said:\n%s", code, want, said)
			}
		})
	}
}

// What a pod of a job writes outlives it.
func TestWhatJobsKeepLiesOnAVolume(t *testing.T) {
	t.Parallel()
	for _, w := range jobs(t) {
		var file struct {
			DeadLetter struct {
				File string `yaml:"file"`
			} `yaml:"dead_letter"`
			Routes []struct {
				Flushers []struct {
					Root string `yaml:"root"`
				} `yaml:"flushers"`
			} `yaml:"routes"`
		}
		_, content := config(t, &w)
		if err := yaml.Unmarshal([]byte(content), &file); err != nil {
			t.Fatalf("%s: %v", w.id, err)
		}
		kept := []string{w.program.flag("state"), file.DeadLetter.File}
		for _, route := range file.Routes {
			for _, f := range route.Flushers {
				kept = append(kept, f.Root)
			}
		}
		for _, dir := range kept {
			if dir != "" && mounted(&w, dir).Claim.Name == "" {
				t.Errorf("%s: %s is on no claimed volume", w.id, dir)
			}
		}
	}
}
