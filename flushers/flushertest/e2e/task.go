package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/cmd"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
)

// taskVariable holds the task of a worker's process.
const taskVariable = "FLUSHLINE_E2E_TASK"

// task makes a process of the test binary a flushline with the caller's kind,
// instead of a test.
type task struct {
	Test    string   // the test whose Run plays it
	Args    []string // of flushline
	Witness string   // the file that takes what the flushers do, a line each; empty: none
	Death   death
}

// death is when a worker's process ends itself with SIGKILL.
type death struct {
	Moment moment
	After  time.Duration // not before so long after the first Flush
	Part   float64       // 0 to 1: how far into the moment
}

// taskOfProcess is nil in every process that is not a worker's.
func taskOfProcess() *task {
	text := os.Getenv(taskVariable)
	if text == "" {
		return nil
	}
	k := &task{}
	if json.Unmarshal([]byte(text), k) != nil {
		return &task{} // that of no test
	}
	return k
}

// play is the whole life of a worker's process: it does not return.
func (k *task) play(kind flushers.Kind) {
	go endWithParent()
	w, err := newWitness(k)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kinds := []flushers.Kind{watch(kind, w)}
	if builtIn, err := flushers.NewRegistry(all.Kinds()...); err == nil && builtIn.Find(kind.Name) == nil {
		kinds = append(kinds, kind)
	}
	os.Args = append([]string{"flushline"}, k.Args...)
	os.Exit(cmd.Main(kinds...))
}

// endWithParent keeps a worker from outliving its test: their pipe breaks with the
// parent, however that ends.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	die()
}

// die is kill -9 of this process by itself: nothing runs any more, no deferred
// call, no buffer is written out.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}

// command is the test binary as the process of a task.
func (k *task) command(t testing.TB) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatalf("couldn't find the test binary, which is the worker: %v", err)
	}
	k.Test = t.Name()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	// The process is ended by its id, not with the test's context.
	c := exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"-test.run="+pattern(t.Name()), "-test.count=1", "-test.timeout=0")
	c.Env = append(os.Environ(), taskVariable+"="+string(text))
	return c
}

// pattern matches one test and nothing else, at each level of subtests.
func pattern(test string) string {
	levels := strings.Split(test, "/")
	for i, level := range levels {
		levels[i] = "^" + regexp.QuoteMeta(level) + "$"
	}
	return strings.Join(levels, "/")
}
