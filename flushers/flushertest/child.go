package flushertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// taskVariable holds the task of a child process.
const taskVariable = "FLUSHERTEST_TASK"

// childLimit bounds a child's life.
const childLimit = 2 * time.Minute

// task is what a child process does, instead of proving the properties.
type task struct {
	Test, Kind string
	Play       string
	Options    *option.Node
	MustFail   bool // Init has to fail with these options
	Key        protocol.Key
	Groups     []protoSample
	Report     string // the file that takes what the child has to say, a line each
}

// protoSample is a sample on its way into another process.
type protoSample struct {
	ID   protocol.ID
	Data []byte
}

// taskOfProcess is nil in every process that is not the suite's child.
func taskOfProcess() *task {
	text := os.Getenv(taskVariable)
	if text == "" {
		return nil
	}
	t := &task{}
	if json.Unmarshal([]byte(text), t) != nil {
		return &task{} // that of no test
	}
	return t
}

// play does the task and reports.
func (k *task) play(t *testing.T, kind flushers.Kind) {
	t.Helper()
	report, err := os.OpenFile(k.Report, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatalf("couldn't open the report of the parent process: %v", err)
	}
	defer report.Close()
	c := &child{T: t, task: k, kind: &kind, report: report}
	err = c.play()
	if err != nil {
		c.say("error", err.Error())
	}
}

// child is the process in which a task is played.
type child struct {
	*testing.T
	*task
	kind   *flushers.Kind
	report *os.File
}

func (c *child) play() error {
	switch c.Play {
	case "die after nil":
		return c.dieAfterNil()
	case "live twice":
		return c.liveTwice()
	case "fail Init":
		return c.failInit()
	}
	return fmt.Errorf("the task %q is not known", c.Play)
}

// say writes one line of the report. It is in the file when say returns, whatever
// becomes of the process.
func (c *child) say(word, text string) {
	if _, err := fmt.Fprintf(c.report, "%s %s\n", word, strings.ReplaceAll(text, "\n", " | ")); err != nil {
		c.Errorf("couldn't report to the parent process: %v", err)
	}
}

func (c *child) samples() ([]*sample, error) {
	var out []*sample
	for _, p := range c.Groups {
		g := &protocol.LogGroup{}
		if err := g.Unmarshal(p.Data); err != nil {
			return nil, fmt.Errorf("couldn't read a group of the parent process: %w", err)
		}
		out = append(out, &sample{id: p.ID, group: g})
	}
	return out, nil
}

// delegate runs a task in a child process and returns its report, word by word.
func (b *bench) delegate(k *task, samples []*sample, env ...string) []line {
	b.Helper()
	b.know(samples)
	root, _, _ := strings.Cut(b.Name(), "/")
	test := strings.TrimSuffix(b.Name(), "/"+lastName(b.Name()))
	if root == b.Name() {
		b.Fatal("a property is proven in a subtest")
	}
	k.Test, k.Kind, k.Key = test, b.kind.Name, b.key
	if k.Options == nil {
		k.Options = b.options(nil)
	}
	k.Report = filepath.Join(b.TempDir(), "report")
	for _, s := range samples {
		data, err := s.group.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		k.Groups = append(k.Groups, protoSample{s.id, data})
	}
	if err := os.WriteFile(k.Report, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	output := b.runChild(k, env)
	report, err := os.ReadFile(k.Report)
	if err != nil {
		b.Fatal(err)
	}
	lines := readReport(string(report))
	for _, l := range lines {
		if l.word == "error" {
			b.Fatalf("in a process of its own: %s", l.text)
		}
	}
	if len(lines) == 0 {
		b.Fatalf("the child process reported nothing; does %s call Run more than once, or fail before it? It wrote:\n%s", test, output)
	}
	return lines
}

func lastName(test string) string { return test[strings.LastIndexByte(test, '/')+1:] }

// runChild returns what the child wrote. How it ended says nothing: the report
// does.
func (b *bench) runChild(k *task, env []string) []byte {
	b.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatalf("couldn't find the test binary: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), childLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run="+onlyTest(k.Test), "-test.timeout="+childLimit.String(), "-test.count=1")
	cmd.Env = append(os.Environ(), append(env, taskVariable+"="+string(text))...)
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.Fatalf("couldn't run the child process: %v", err)
	}
	if ctx.Err() != nil {
		b.Fatalf("the child process has not ended after %s; it wrote:\n%s", childLimit, output)
	}
	return output
}

// onlyTest is the pattern that matches this test alone.
func onlyTest(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// line is one line of a child's report.
type line struct{ word, text string }

func readReport(report string) []line {
	var out []line
	for text := range strings.Lines(report) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		out = append(out, line{word, rest})
	}
	return out
}
