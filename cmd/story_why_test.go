package cmd_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"
)

// serverKey is where a story keeps its server.
type serverKey struct{}

// shut ends the story's server: its broker is away.
func shut(ts *testscript.TestScript, neg bool, args []string) {
	s, ok := ts.Value(serverKey{}).(*server.Server)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: shut, in a story that has a server")
	}
	s.Shutdown()
	s.WaitForShutdown()
}

// startDenial answers every request with 401: the destination of who has a wrong
// password.
func startDenial(env *testscript.Env) string {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(rw, "no such user", http.StatusUnauthorized)
	}))
	env.Defer(s.Close)
	return s.URL + "/"
}

// fill FILE BYTES: makes a file of one JSON object of about that size.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(`{"a":"`+strings.Repeat("x", n)+"\"}\n"), 0o600))
}

// until FILE TEXT COMMAND...: runs a command in the background with its output in FILE,
// reads until TEXT is there, and then hangs up on it: the exit code has to be 0.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: until FILE TEXT COMMAND...")
	}
	r, w, err := os.Pipe()
	ts.Check(err)
	p, err := begin(ts, w, args[2:])
	w.Close()
	ts.Check(err)
	late := time.AfterFunc(30*time.Second, func() { _ = p.Process.Kill() })
	defer late.Stop()
	var seen strings.Builder
	buf := make([]byte, 64<<10)
	for !strings.Contains(seen.String(), args[1]) {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			break
		}
	}
	r.Close()
	err = p.Wait()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(seen.String()), 0o600))
	if err != nil || !strings.Contains(seen.String(), args[1]) {
		ts.Fatalf("the command ended with %v, and wrote\n%s", err, seen.String())
	}
}

// begin starts a command of the story with its standard output on a pipe.
func begin(ts *testscript.TestScript, out *os.File, args []string) (*exec.Cmd, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return nil, err
	}
	c := exec.Command(path, args[1:]...)
	c.Dir, c.Stdout = ts.MkAbs("."), out
	c.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "GORACE="+ts.Getenv("GORACE"))
	return c, c.Start()
}
