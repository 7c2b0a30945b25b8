//go:build failpoint && unix

package failpoint

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPlansAreRead(t *testing.T) {
	t.Parallel()
	got, err := parse("flush.before:2:error,ack.before:3+:sleep(5ms)")
	want := []plan{{FlushBefore, 2, false, "error", 0}, {AckBefore, 3, true, "sleep(5ms)", 5 * time.Millisecond}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{
		"x", "nowhere:1:kill", "flush.before:0:kill", "flush.before:x:kill", "flush.before:1:burn", "flush.before:1:sleep(x)",
		"flush.before:1:sleep(1s", "flush.after:1:error", "flush.before:1:kill,flush.before:2:kill", "flush.before:1:kill,",
	} {
		if p, err := parse(bad); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
}

// In a child: what the environment says happens at the hit it names, and the log
// knows before.
func TestActions(t *testing.T) {
	if os.Getenv("FAILPOINT_CHILD") != "" {
		for range 3 {
			if err := Err(FlushBefore); err != nil {
				os.Exit(7)
			}
		}
		os.Exit(0)
	}
	t.Parallel()
	for action, want := range map[string]struct {
		code int
		sig  syscall.Signal
		hits int
	}{
		"kill": {-1, syscall.SIGKILL, 2}, "panic": {2, 0, 2}, "error": {7, 0, 2}, "sleep(1ms)": {0, 0, 3}, "nonsense": {2, 0, 0},
	} {
		log := filepath.Join(t.TempDir(), "log")
		cmd := exec.Command(os.Args[0], "-test.run=^TestActions$")
		cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", "FLUSHLINE_FAILPOINT=flush.before:2:"+action, "FLUSHLINE_FAILPOINT_LOG="+log)
		out, _ := cmd.CombinedOutput() // its state tells
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if code := cmd.ProcessState.ExitCode(); !ok || code != want.code || want.sig != 0 && status.Signal() != want.sig {
			t.Errorf("%s: ended with %v\n%s", action, cmd.ProcessState, out)
		}
		noted, _ := os.ReadFile(log)
		fired := strings.Contains(string(noted), "fired flush.before 2 "+action+"\n")
		if n := strings.Count(string(noted), "hit flush.before "); n != want.hits || fired != (want.hits > 0) {
			t.Errorf("%s: the log says\n%s", action, noted)
		}
	}
}
