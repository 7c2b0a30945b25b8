package destinations

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
)

// process is this test binary as a server in a process of its own, which keeps its
// address and its directory when it is killed and started again.
type process struct {
	tb   testing.TB
	role string
	dir  string
	addr string // host:port, once it has run
	proc *child.Process
}

func startServer(tb testing.TB, role string) *process {
	tb.Helper()
	s := &process{tb: tb, role: role, dir: tb.TempDir()}
	s.start()
	return s
}

// start returns when the server has said its address: it is ours, then.
func (s *process) start() {
	s.tb.Helper()
	self, err := os.Executable()
	if err != nil {
		s.tb.Fatal(err)
	}
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+s.role, "FLUSHLINE_DESTINATION_DIR="+s.dir, "FLUSHLINE_DESTINATION_ADDR="+addr)
	p, out := child.Start(s.tb, s.role+" server", cmd)
	line, err := out.ReadString('\n')
	if err != nil {
		s.tb.Fatalf("the %s server did not start: %v", s.role, err)
	}
	s.proc, s.addr = p, strings.TrimSpace(line)
}

// crash is SIGKILL, and nothing for a second.
func (s *process) crash() {
	s.proc.Kill()
	<-time.After(time.Second)
}
