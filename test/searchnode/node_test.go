package searchnode_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/test/searchnode"
)

// create is a bulk of documents with these ids.
func create(index string, ids ...int) string {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, `{"create":{"_index":%q,"_id":"%d"}}`+"\n"+`{"n":%d}`+"\n", index, id, id)
	}
	return b.String()
}

// bulk sends one and returns what was answered.
func bulk(t *testing.T, n *searchnode.Node, body string) (status int, answer string) {
	t.Helper()
	status, b, err := n.Do(t.Context(), http.MethodPost, "/_bulk", body)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(b)
}

func has(t *testing.T, what string, status, want int, answer string, words ...string) {
	t.Helper()
	if status != want {
		t.Errorf("%s: status %d, want %d: %s", what, status, want, answer)
	}
	for _, w := range words {
		if !strings.Contains(answer, w) {
			t.Errorf("%s: %q is not in %s", what, w, answer)
		}
	}
}

func TestWhatIsAnsweredForKilledAndFrozenNodes(t *testing.T) {
	t.Parallel()
	for _, p := range searchnode.Products() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			n := searchnode.Start(t, searchnode.Options{Product: p})
			status, answer := bulk(t, n, create("a", 1, 2, 3))
			has(t, "a bulk", status, http.StatusOK, answer, `"errors":false`, `"status":201`)
			n.Kill()
			if _, _, err := n.Do(t.Context(), http.MethodGet, "/", ""); err == nil {
				t.Fatal("a killed node answers")
			}
			n.Restart(t, map[string]string{"http.max_content_length": "8kb"})
			hits, err := n.Hits(t.Context(), "a")
			if err != nil || len(hits) != 3 {
				t.Fatalf("after a kill there are %d documents (%v), want 3", len(hits), err)
			}
			status, answer = bulk(t, n, create("a", 2, 4))
			has(t, "a repeated id", status, http.StatusOK, answer, `"errors":true`, `"status":409`, "version_conflict_engine_exception")
			status, answer = bulk(t, n, create("a", make([]int, 400)...))
			if status != http.StatusRequestEntityTooLarge || answer != "" {
				t.Errorf("a body that is too large: %d %q, want 413 and nothing", status, answer)
			}
			n.Freeze(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, _, err := n.Do(ctx, http.MethodGet, "/", ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a frozen node: %v, want no answer", err)
			}
			n.Thaw()
			n.Must(t, http.MethodGet, "/", "")
		})
	}
}

func TestHitsAreAll(t *testing.T) {
	t.Parallel()
	n := searchnode.Shared(t, searchnode.OpenSearch)
	ids := make([]int, 12_000) // more than one page, and more than one search gives
	for i := range ids {
		ids[i] = i
	}
	has(t, "many", http.StatusOK, http.StatusOK, string(n.Must(t, http.MethodPost, "/_bulk", create("many", ids...))), `"errors":false`)
	hits, err := n.Hits(t.Context(), "many")
	seen := map[string]bool{}
	for _, h := range hits {
		seen[h.ID] = true
	}
	if err != nil || len(hits) != len(ids) || len(seen) != len(ids) {
		t.Errorf("%d documents, %d of them different (%v), want %d", len(hits), len(seen), err, len(ids))
	}
	if hits, err := n.Hits(t.Context(), "nowhere"); err != nil || len(hits) != 0 {
		t.Errorf("of an index that is not there: %d documents, %v", len(hits), err)
	}
}

// TestSettingsBite holds to what the package doc says of overload.
func TestSettingsBite(t *testing.T) {
	t.Parallel()
	for _, p := range searchnode.Products() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			n := searchnode.Start(t, searchnode.Options{Product: p, Settings: map[string]string{
				"thread_pool.write.size": "1", "thread_pool.write.queue_size": "1", "indexing_pressure.memory.limit": "1mb",
			}})
			n.Must(t, http.MethodPut, "/a", `{"settings":{"number_of_shards":4,"number_of_replicas":0}}`)
			answers := flood(t, n)
			if !strings.Contains(answers, `"status":429`) {
				t.Errorf("no item is refused by a full queue: %.300s", answers)
			}
			status, answer := bulk(t, n, create("a", make([]int, 30_000)...))
			has(t, "indexing pressure", status, http.StatusTooManyRequests, answer, "rejected_execution_exception")
			n.Must(t, http.MethodPut, "/_cluster/settings", `{"transient":{"network.breaker.inflight_requests.limit":"10kb"}}`)
			status, answer = bulk(t, n, create("a", make([]int, 2000)...))
			has(t, "the breaker", status, http.StatusTooManyRequests, answer, "circuit_breaking_exception")
		})
	}
}

// flood sends bulks side by side until one has an item that is refused, or for long enough.
func flood(t *testing.T, n *searchnode.Node) string {
	var mu sync.Mutex
	var last string
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 16 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, b, err := n.Do(ctx, http.MethodPost, "/a/_bulk", strings.Repeat("{\"index\":{}}\n{\"n\":1}\n", 200))
				if err != nil {
					return
				}
				mu.Lock()
				if last = string(b); strings.Contains(last, `"status":429`) {
					cancel()
				}
				mu.Unlock()
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, part := range strings.SplitAfter(last, `"status":`) {
		if strings.HasPrefix(part, "429") {
			return `"status":` + part
		}
	}
	return last
}

func TestOnlyWhoMayComesIn(t *testing.T) {
	t.Parallel()
	for _, o := range []searchnode.Options{
		{Product: searchnode.OpenSearch, Authorization: "Basic dTpw", TLS: true},
		{Product: searchnode.Elasticsearch, Authorization: "ApiKey aWQ6a2V5"},
	} {
		t.Run(o.Product.String(), func(t *testing.T) {
			t.Parallel()
			n := searchnode.Start(t, o) // asks with the header, and trusts the authority
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.Addr(), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if o.TLS {
				if err == nil {
					resp.Body.Close()
					t.Errorf("without TLS: %s", resp.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("without a header: %s", resp.Status)
			}
		})
	}
}
