package searchnode

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// TB is what the helpers need of a test. Every [testing.TB] is one; a program has its
// own of three lines.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context // requests go on a little after its end, so helpers work in cleanups
}

// Require skips the test when no node can be started here, and fails it when
// FLUSHLINE_REQUIRE_SEARCH is set: a check that has to prove something must not skip it.
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

// Start starts a node that ends with the test.
func Start(t testing.TB, o Options) *Node {
	t.Helper()
	Require(t)
	dir := t.TempDir() // removed after Close
	n, err := Run(context.WithoutCancel(t.Context()), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if t.Failed() {
			t.Logf("what %s said:\n%s", n, n.Log())
		}
	})
	t.Logf("running against %s", n)
	return n
}

// shared are the nodes of a process, one a product.
var shared struct {
	main  bool // Main runs
	nodes [2]struct {
		once sync.Once
		dir  string
		n    *Node
		err  error
	}
}

// Shared is the one node of this test process and product, started when first asked for
// and stopped by [Main], which TestMain has to call. Tests use indices of their own
// names, change no settings of the cluster, and leave the node running.
func Shared(t testing.TB, p Product) *Node {
	t.Helper()
	Require(t)
	if !shared.main {
		t.Fatal("a shared node ends in searchnode.Main: call that in TestMain")
	}
	s := &shared.nodes[p]
	s.once.Do(func() {
		if s.dir, s.err = os.MkdirTemp("", "searchnode-"); s.err == nil {
			s.n, s.err = Run(context.Background(), s.dir, Options{Product: p, Settings: map[string]string{
				"cluster.max_shards_per_node": "10000", // an index is cheap, and each test has its own
			}})
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	t.Logf("running against %s, shared", s.n)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the shared %s said:\n%s", s.n, s.n.Log())
		}
	})
	return s.n
}

// Main runs a package's tests and then stops the shared nodes that were started; it
// returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(searchnode.Main(m)) }
func Main(m *testing.M) int {
	shared.main = true
	code := m.Run()
	for i := range shared.nodes {
		s := &shared.nodes[i]
		if s.n != nil {
			s.n.Close()
		}
		if s.dir == "" {
			continue
		}
		if err := os.RemoveAll(s.dir); err != nil {
			fmt.Fprintln(os.Stderr, "couldn't remove a shared node's data:", err)
		}
	}
	return code
}
