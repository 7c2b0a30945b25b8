package elasticsearch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// fake answers as it is told: what no real server can be talked into.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	answer func(w http.ResponseWriter, docs []string)
}

// newFake begins with a server that stores everything.
func newFake(tb testing.TB) *fake {
	f := &fake{answer: func(w http.ResponseWriter, docs []string) { items(w, make([]string, len(docs))...) }}
	f.Server = httptest.NewServer(f)
	tb.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.bodies = append(f.bodies, string(body))
	answer := f.answer
	f.mu.Unlock()
	var docs []string
	for i, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
		if i%2 == 1 {
			docs = append(docs, line)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	answer(w, docs)
}

func (f *fake) says(answer func(w http.ResponseWriter, docs []string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.bodies = answer, nil
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bodies
}

// items is an answer of 200; an item is empty if its log was created.
func items(w io.Writer, each ...string) {
	var b bytes.Buffer
	bad := false
	for i, item := range each {
		if item == "" {
			item = `"status":201`
		} else {
			bad = true
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"create":{%s}}`, item)
	}
	fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, bad, b.String())
}

func failed(status int, typ, reason string) string {
	return fmt.Sprintf(`"status":%d,"error":{"type":%q,"reason":%q}`, status, typ, reason)
}

// instance is a flusher that runs.
type instance struct {
	*elasticsearch.Flusher
	process *flushertest.Process
}

func start(tb testing.TB, p *flushertest.Process, key protocol.Key, options map[string]any) *instance {
	tb.Helper()
	f := elasticsearch.Kind().New().(*elasticsearch.Flusher)
	for _, problem := range option.Decode(option.FromAny(options), f) {
		tb.Fatalf("%s: %s", problem.Path, problem.Text())
	}
	if err := f.Init(p.Context(tb, key)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Stop() })
	return &instance{f, p}
}

var key = protocol.Key{Project: "shop", Logstore: "Web", Config: "nginx"}

// to starts a flusher to addresses.
func to(tb testing.TB, more map[string]any, addresses ...string) *instance {
	tb.Helper()
	var list []any
	for _, a := range addresses {
		list = append(list, a)
	}
	options := map[string]any{"addresses": list, "index": "logs", "join_wait": "0s", "timeout": "1m"}
	for k, v := range more {
		options[k] = v
	}
	return start(tb, new(flushertest.Process), key, options)
}

// batch has a group for each number, with that many logs; ids are the same each time.
func batch(logs ...int) *flushers.Batch {
	b := &flushers.Batch{Project: key.Project, Logstore: key.Logstore, Config: key.Config, Attempt: 1}
	for g, n := range logs {
		group := &protocol.LogGroup{LogTags: []*protocol.LogTag{{Key: "host.name", Value: "a"}}}
		for i := range n {
			group.Logs = append(group.Logs, &protocol.Log{Time: 1_700_000_000, Contents: []*protocol.Log_Content{
				{Key: "id", Value: fmt.Sprintf("%d/%d", g, i)},
			}})
		}
		b.Groups = append(b.Groups, group)
		b.IDs = append(b.IDs, protocol.ID{Origin: [16]byte{1}, Group: uint32(g)})
	}
	return b
}

// classOf is how each group ended.
func classOf(t *testing.T, err error, groups int) []string {
	t.Helper()
	out := make([]string, groups)
	class, _ := flushers.Classify(err)
	var partial *flushers.PartialError
	ok := errors.As(err, &partial)
	for i := range out {
		if !ok {
			out[i] = class.String()
			continue
		}
		class, _ := flushers.Classify(partial.Failed[i])
		out[i] = class.String()
	}
	return out
}

// problems are the paths of the options that are refused.
func problems(options map[string]any) (paths []string) {
	for _, p := range option.Decode(option.FromAny(options), elasticsearch.Kind().New()) {
		if !p.Warning {
			paths = append(paths, p.Path)
		}
	}
	return paths
}
