package elasticsearch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/searchnode"
)

// within is how long a server that was started again may take.
const within = 2 * time.Minute

// eventually flushes as the worker does, until it is stored.
func eventually(t *testing.T, f *instance, b *flushers.Batch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		err := f.FlushBatch(ctx, b)
		if err == nil {
			return
		}
		if class, _ := flushers.Classify(err); class == flushers.ClassPermanent || class == flushers.ClassMisconfigured {
			t.Fatalf("class %v: %v", class, err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not stored within %s: %v", within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// holds compares the ids of an index with how many there should be, each once.
func holds(t *testing.T, n *searchnode.Node, index string, want int) {
	t.Helper()
	hits, err := n.Hits(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, h := range hits {
		ids[h.ID]++
	}
	if len(hits) != want || len(ids) != want {
		t.Errorf("%s has %d documents with %d ids, want %d", index, len(hits), len(ids), want)
	}
}

// class wants an error of a class, that says something.
func class(t *testing.T, what string, err error, want flushers.Class, says string) {
	t.Helper()
	got, _ := flushers.Classify(err)
	if partial := (*flushers.PartialError)(nil); errors.As(err, &partial) {
		for _, inner := range partial.Failed {
			got, _ = flushers.Classify(inner)
		}
	}
	if got != want || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v (%v), want %v and %q", what, got, err, want, says)
	}
}

func eachProduct(t *testing.T, run func(t *testing.T, p searchnode.Product)) {
	t.Parallel()
	for _, p := range searchnode.Products() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			run(t, p)
		})
	}
}

// TestAServerThatDiesAndHangs: killed, started again, frozen, and refusing for its own
// limits, a node has each log once in the end.
func TestAServerThatDiesAndHangs(t *testing.T) {
	eachProduct(t, func(t *testing.T, p searchnode.Product) {
		n := searchnode.Start(t, searchnode.Options{Product: p, Settings: map[string]string{
			"http.max_content_length": "20kb", "action.auto_create_index": "logs",
		}})
		f := to(t, map[string]any{"timeout": "10s"}, n.URL())

		eventually(t, f, batch(50, 400, 50)) // an empty 413, cut
		if f.process.Metric("split_requests_total") == 0 {
			t.Error("nothing was cut")
		}
		holds(t, n, "logs", 500)

		n.Freeze(t)
		begun := time.Now()
		class(t, "frozen", f.FlushBatch(t.Context(), batch(1)), flushers.ClassTimeout, "")
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("a frozen server held a call for %s", took)
		}
		n.Thaw()
		eventually(t, f, batch(50, 400, 60))
		holds(t, n, "logs", 510)

		n.Kill()
		class(t, "killed", f.FlushBatch(t.Context(), batch(1)), flushers.ClassRetry, "")
		class(t, "killed", f.FlushBatch(t.Context(), batch(1)), flushers.ClassRetry, "connection refused")
		if f.IsReady("", "", 0) {
			t.Error("ready right after the connection was refused")
		}
		n.Restart(t, nil)
		eventually(t, f, batch(50, 400, 61))
		holds(t, n, "logs", 511)

		other := to(t, map[string]any{"index": "others"}, n.URL())
		class(t, "an index that may not be made", other.FlushBatch(t.Context(), batch(1)), flushers.ClassMisconfigured, "index_not_found_exception")
		n.Must(t, http.MethodPut, "/_cluster/settings", `{"transient":{"network.breaker.inflight_requests.limit":"5kb"}}`)
		cut := f.process.Metric("split_requests_total")
		eventually(t, f, batch(50, 400, 63)) // refused alone for ever, so it is cut
		if f.process.Metric("split_requests_total") == cut {
			t.Error("what a breaker refuses alone is not cut")
		}
		holds(t, n, "logs", 513)
	})
}

// TestAnIndexThatRefuses is what real servers say of one log.
func TestAnIndexThatRefuses(t *testing.T) {
	eachProduct(t, func(t *testing.T, p searchnode.Product) {
		n := searchnode.Shared(t, p)
		index := fmt.Sprintf("refusing-%d", time.Now().UnixNano())
		n.Must(t, http.MethodPut, "/"+index, `{"settings":{"number_of_replicas":1},"mappings":{"dynamic":"strict","properties":{"id":{"type":"keyword"},"host":{"properties":{"name":{"type":"keyword"}}},"@timestamp":{"type":"date"}}}}`)
		t.Cleanup(func() { n.Must(t, http.MethodDelete, "/"+index, "") })
		f := to(t, map[string]any{"index": index, "timeout": "10s"}, n.URL())
		set := func(settings string) { n.Must(t, http.MethodPut, "/"+index+"/_settings", settings) }

		b := batch(2, 2, 2)
		b.Groups[1].Logs[1].Contents = append(b.Groups[1].Logs[1].Contents, &protocol.Log_Content{Key: "new", Value: "x"})
		err := f.FlushBatch(t.Context(), b)
		if got := classOf(t, err, 3); !slices.Equal(got, []string{"none", "permanent", "none"}) {
			t.Errorf("a field that is not mapped: %v (%v)", got, err)
		}
		holds(t, n, index, 5)

		set(`{"index.blocks.read_only_allow_delete":true}`)
		class(t, "a full disk", f.FlushBatch(t.Context(), batch(7)), flushers.ClassRetryAfter, "cluster_block_exception")
		set(`{"index.blocks.read_only_allow_delete":null}`)
		set(`{"index.blocks.write":true}`)
		class(t, "a write block", f.FlushBatch(t.Context(), batch(7)), flushers.ClassMisconfigured, "cluster_block_exception")
		set(`{"index.blocks.write":null,"index.write.wait_for_active_shards":2}`)
		class(t, "shards away", f.FlushBatch(t.Context(), batch(7)), flushers.ClassRetryAfter, "unavailable_shards_exception")
		set(`{"index.write.wait_for_active_shards":1}`)
		n.Must(t, http.MethodPost, "/"+index+"/_close", "")
		class(t, "closed", f.FlushBatch(t.Context(), batch(7)), flushers.ClassMisconfigured, "index_closed_exception")
		n.Must(t, http.MethodPost, "/"+index+"/_open?wait_for_active_shards=1", "")
		eventually(t, f, batch(7))
		holds(t, n, index, 10)

		class(t, "no pipeline", to(t, map[string]any{"index": index, "pipeline": "nope"}, n.URL()).FlushBatch(t.Context(), batch(1)),
			flushers.ClassMisconfigured, "pipeline with id [nope] does not exist")
	})
}

// TestDataStreams: of OpenSearch, as this Elasticsearch has none.
func TestDataStreams(t *testing.T) {
	t.Parallel()
	n := searchnode.Shared(t, searchnode.OpenSearch)
	stream := fmt.Sprintf("stream-%d", time.Now().UnixNano())
	n.Must(t, http.MethodPut, "/_index_template/"+stream, `{"index_patterns":["`+stream+`"],"data_stream":{},"template":{"settings":{"number_of_replicas":0}}}`)
	f := to(t, map[string]any{"index": stream}, n.URL())
	for range 2 {
		eventually(t, f, batch(3, 4))
		holds(t, n, stream, 7)
	}
	if known := f.process.Metric("documents_known_total"); known < 7 {
		t.Errorf("%d documents were known, want at least 7", known)
	}
	class(t, "operation index", to(t, map[string]any{"index": stream, "operation": "index"}, n.URL()).FlushBatch(t.Context(), batch(1)),
		flushers.ClassMisconfigured, "op_type of create")
	class(t, "no time", to(t, map[string]any{"index": stream, "field_names": map[string]any{}}, n.URL()).FlushBatch(t.Context(), batch(9)),
		flushers.ClassMisconfigured, "@timestamp")
	n.Must(t, http.MethodPost, "/"+stream+"/_rollover", "")
	eventually(t, f, batch(3, 5))
	hits, err := n.Hits(t.Context(), stream)
	if err != nil || len(hits) != 7+8 {
		t.Errorf("after a rollover %d documents (%v): what the docs say of it is not so", len(hits), err)
	}
}

// TestDatedIndices: the index is that of the log's day, so a replay finds it again.
func TestDatedIndices(t *testing.T) {
	eachProduct(t, func(t *testing.T, p searchnode.Product) {
		n := searchnode.Shared(t, p)
		prefix := fmt.Sprintf("dated-%d-", time.Now().UnixNano())
		f := to(t, map[string]any{"index": prefix + "{date:2006.01.02}"}, n.URL())
		b := batch(4)
		b.Groups[0].Logs[2].Time += 86_400
		b.Groups[0].Logs[3].Time += 86_400
		for range 2 {
			eventually(t, f, b)
		}
		holds(t, n, prefix+"2023.11.14", 2)
		holds(t, n, prefix+"2023.11.15", 2)
		n.Must(t, http.MethodDelete, "/"+prefix+"2023.11.14,"+prefix+"2023.11.15", "")
	})
}

// TestALineThatIsReset: what was stored before the answer was cut is stored once.
func TestALineThatIsReset(t *testing.T) {
	eachProduct(t, func(t *testing.T, p searchnode.Product) {
		n := searchnode.Shared(t, p)
		index := fmt.Sprintf("reset-%d", time.Now().UnixNano())
		proxy := faultproxy.New(t, n.Addr(), nil)
		f := to(t, map[string]any{"index": index}, "http://"+proxy.Addr())
		eventually(t, f, batch(10))
		proxy.Set(faultproxy.ToClient, faultproxy.Fault{CutAfter: 100})
		class(t, "cut", f.FlushBatch(t.Context(), batch(300)), flushers.ClassRetry, "")
		proxy.Heal()
		eventually(t, f, batch(300))
		holds(t, n, index, 300)
		n.Must(t, http.MethodDelete, "/"+index, "")
	})
}

// TestSecuredServers: HTTPS and a password, and a certificate that changes.
func TestSecuredServers(t *testing.T) {
	t.Parallel()
	n := searchnode.Start(t, searchnode.Options{TLS: true, Authorization: "Basic dTpw"})
	with := func(more map[string]any) *instance {
		all := map[string]any{"tls": map[string]any{"ca": n.Certs().CA}, "user": "u", "password": "p"}
		for k, v := range more {
			all[k] = v
		}
		return to(t, all, n.URL())
	}
	f := with(nil)
	eventually(t, f, batch(3))
	class(t, "another password", with(map[string]any{"password": "q"}).FlushBatch(t.Context(), batch(1)), flushers.ClassMisconfigured, "401")
	class(t, "another authority", with(map[string]any{"tls": map[string]any{"ca": n.Certs().OtherCA}}).FlushBatch(t.Context(), batch(1)), flushers.ClassMisconfigured, "certificate")
	class(t, "no TLS", to(t, nil, "http://"+n.Addr()).FlushBatch(t.Context(), batch(1)), flushers.ClassRetry, "")
	holds(t, n, "logs", 3)

	// The server shows a certificate of a new authority, which is then trusted.
	old, err := os.ReadFile(n.Certs().CA)
	if err != nil {
		t.Fatal(err)
	}
	renewed := n.Renew(t)
	n.Restart(t, nil)
	if err := os.WriteFile(n.Certs().CA, old, 0o600); err != nil {
		t.Fatal(err)
	}
	class(t, "a certificate that changed", f.FlushBatch(t.Context(), batch(4)), flushers.ClassMisconfigured, "certificate")
	if err := os.WriteFile(n.Certs().CA, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, f, batch(5))
	holds(t, n, "logs", 5)
}
