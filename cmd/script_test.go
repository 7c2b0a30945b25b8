package cmd_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flushline/flushline/cmd"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) {
	testscript.Main(withoutLeaks{m}, map[string]func(){
		"flushline":    func() { os.Exit(cmd.Main()) },
		"ownflushline": func() { os.Exit(cmd.Main(rowsKind())) },
	})
}

// withoutLeaks looks for what the tests leave behind.
type withoutLeaks struct{ m *testing.M }

func (w withoutLeaks) Run() int { return leak.Check(w.m.Run()) }

// Each script of testdata is one story as its user meets it. $NATS is a JetStream
// server of its own without any stream, $ADMIN, $METRICS and $QUEUE are free addresses,
// $SILENCE is a URL that never answers, $REFUSAL one that takes nothing, for good, and
// $DENIES one that answers 401.
func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, stories("testdata", func(env *testscript.Env) error {
		url, err := startServer(env)
		env.Setenv("NATS", url)
		return err
	}))
}

// The stories on Kafka have $KAFKA, a broker that they share: each has topics and
// groups of its own. A second round (-count) has another broker, without them.
func TestKafkaStories(t *testing.T) {
	t.Parallel()
	kafka := kafkabroker.Start(t, kafkabroker.Options{})
	testscript.Run(t, stories("testdata/kafka", func(env *testscript.Env) error {
		env.Setenv("KAFKA", kafka.Addr())
		env.Values[sharedKafka{}] = kafka
		repository, err := filepath.Abs("..")
		env.Setenv("REPOSITORY", repository)
		return err
	}))
}

func stories(dir string, queue func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"ADMIN", "METRICS", "QUEUE"} {
				address, err := freeAddress()
				if err != nil {
					return err
				}
				env.Setenv(name, address)
			}
			if defect := os.Getenv("FLUSHLINE_MUTANT"); defect != "" { // what is planted is in the program, too
				env.Setenv("FLUSHLINE_MUTANT", defect)
			}
			env.Setenv("GORACE", "atexit_sleep_ms=10") // else each command takes a second to end under -race
			if err := queue(env); err != nil {
				return err
			}
			silence, err := startSilence(env)
			env.Setenv("SILENCE", silence)
			env.Setenv("REFUSAL", startRefusal(env))
			env.Setenv("DENIES", startDenial(env))
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ages":      ages,
			"answers":   answers,
			"await":     await,
			"collect":   collect,
			"counts":    counts,
			"exits":     exits,
			"fill":      fill,
			"forgets":   forgets,
			"grab":      grab,
			"hangup":    hangup,
			"recipe":    recipe,
			"stored":    stored,
			"subst":     substitute,
			"shut":      shut,
			"terminate": terminate,
			"until":     until,
		},
	}
}

var portsGiven atomic.Int32

// freeAddress gives a port that nobody listens on now, from below the range out
// of which the system takes ports by itself: only another freeAddress could take
// it before the story does, and each process counts from a place of its own.
func freeAddress() (string, error) {
	for range 100 {
		port := 20000 + (os.Getpid()*37+int(portsGiven.Add(1)))%10000
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return ln.Addr().String(), ln.Close()
		}
	}
	return "", errors.New("no free port from 20000 on")
}

func startServer(env *testscript.Env) (string, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: env.WorkDir + "/.nats", NoLog: true, NoSigs: true,
	})
	if err != nil {
		return "", err
	}
	s.Start()
	env.Values[serverKey{}] = s
	env.Defer(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(20 * time.Second) {
		return "", errors.New("the server of the story is not ready")
	}
	return s.ClientURL(), nil
}

// exits CODE COMMAND...: runs it and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// await REGEXP COMMAND...: runs it until it succeeds and prints what matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await REGEXP COMMAND...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		last = fmt.Sprintf("%v\n%s%s", err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%q did not come within 30s; the last answer:\n%s", args[0], last)
}

// subst FILE...: puts the story's variables ($NATS, $WORK, ...) into files.
func substitute(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: subst FILE...")
	}
	for _, name := range args {
		path := ts.MkAbs(name)
		text := os.Expand(ts.ReadFile(name), func(v string) string {
			if strings.Contains(v, ":") {
				return "${" + v + "}" // of the configuration itself
			}
			return ts.Getenv(v)
		})
		ts.Check(os.WriteFile(path, []byte(text), 0o600))
	}
}

// counts REGEXP N: compares how often the last output has it.
func counts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: counts REGEXP N")
	}
	if got := len(regexp.MustCompile("(?m)"+args[0]).FindAllString(ts.ReadFile("stdout"), -1)); strconv.Itoa(got) != args[1] {
		ts.Fatalf("%d times %q, want %s:\n%s", got, args[0], args[1], ts.ReadFile("stdout"))
	}
}

// grab VARIABLE REGEXP: keeps what the group of the expression found in the last output.
func grab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: grab VARIABLE REGEXP")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%q did not find one text:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}
