package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"customflusher": main})
}

// $DAV is a server that keeps what it is sent; `stored` says how much that is.
func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			d := &dav{objects: map[string]int{}}
			server := httptest.NewServer(d)
			env.Defer(server.Close)
			env.Values["dav"] = d
			env.Setenv("DAV", server.URL)
			config, err := os.ReadFile("flushline.yaml")
			if err != nil {
				return err
			}
			return os.WriteFile(env.WorkDir+"/flushline.yaml", config, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"stored": stored},
	})
}

type dav struct {
	mu      sync.Mutex
	objects map[string]int // bytes, by path
	again   int
}

func (d *dav) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut || r.Header.Get("Authorization") != "Bearer sesame" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.objects[r.URL.Path]; known {
		d.again++
	}
	d.objects[r.URL.Path] = len(body)
	w.WriteHeader(http.StatusCreated)
}

// stored prints how many objects there are, and fails if one came twice.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	d, ok := ts.Value("dav").(*dav)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: stored")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.again > 0 {
		ts.Fatalf("%d objects came twice", d.again)
	}
	_, err := fmt.Fprintf(ts.Stdout(), "%d objects\n", len(d.objects))
	ts.Check(err)
}
