package kafkabroker

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// TB is what the helpers need of a test. Every [testing.TB] is one; a program has
// its own of three lines.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context // requests go on a little after its end, so helpers work in cleanups
}

// Require skips the test when no broker can be started here, and fails it when
// FLUSHLINE_REQUIRE_KAFKA is set: a check that has to prove something must not
// skip it.
func Require(t testing.TB) {
	t.Helper()
	err := Available()
	switch {
	case err == nil:
	case Required():
		t.Fatalf("%s is set: %v", required, err)
	default:
		t.Skip(err)
	}
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	Require(t)
	dir := t.TempDir() // removed after Close
	c, err := Run(context.WithoutCancel(t.Context()), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			t.Logf("what the brokers said:\n%s", c.Log())
		}
	})
	t.Logf("running against Apache Kafka %s, %d broker(s), %s", c.Version(), len(c.nodes), o.protocol())
	return c
}

// shared is the broker of a process.
var shared struct {
	main bool // Main runs
	once sync.Once
	dir  string
	c    *Cluster
	err  error
}

// Shared is the one broker of this test process: Options{} as they are, started
// when first asked for and stopped by [Main], which TestMain has to call. Tests use
// topics and groups of their own names, and leave the broker running.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	Require(t)
	if !shared.main {
		t.Fatal("a shared broker ends in kafkabroker.Main: call that in TestMain")
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "kafkabroker-"); shared.err == nil {
			shared.c, shared.err = Run(context.Background(), shared.dir, Options{})
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Logf("running against Apache Kafka %s, shared", shared.c.Version())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the shared broker said:\n%s", shared.c.Log())
		}
	})
	return shared.c
}

// Main runs a package's tests and then stops the shared broker, if one was
// started; it returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(kafkabroker.Main(m)) }
func Main(m *testing.M) int {
	shared.main = true
	code := m.Run()
	if shared.c != nil {
		shared.c.Close()
	}
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, "couldn't remove the shared broker's data:", err)
		}
	}
	return code
}
