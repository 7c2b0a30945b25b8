package destinations

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/test/searchnode"
)

func TestOpenSearch(t *testing.T) {
	prove(t, elasticsearch.Kind(), func(tb testing.TB) flushertest.Target { return searchTarget(tb, searchnode.OpenSearch) })
}

func TestElasticsearch(t *testing.T) {
	prove(t, elasticsearch.Kind(), func(tb testing.TB) flushertest.Target { return searchTarget(tb, searchnode.Elasticsearch) })
}

// searchTarget is a node of the test's own, which is killed and started again on its
// data.
func searchTarget(tb testing.TB, p searchnode.Product) flushertest.Target {
	n := searchnode.Start(tb, searchnode.Options{Product: p})
	return flushertest.Target{
		Options: map[string]any{"addresses": []any{n.URL()}, "index": "logs-{logstore}-{date:2006.01.02}", "timeout": "5s"},
		Stored:  func() ([]flushertest.Record, error) { return documents(context.WithoutCancel(tb.Context()), n) },
		Break: func() {
			n.Kill()
			<-time.After(time.Second)
		},
		Heal: func() {
			if !n.Running() {
				n.Restart(tb, nil)
			}
		},
	}
}

// documents are all logs of a node.
func documents(ctx context.Context, n *searchnode.Node) ([]flushertest.Record, error) {
	hits, err := n.Hits(ctx, "logs-*")
	if err != nil {
		return nil, err
	}
	var out []flushertest.Record
	for _, h := range hits {
		r := flushertest.Record{}
		if err := json.Unmarshal(h.Source, &r.Fields); err != nil {
			return nil, fmt.Errorf("couldn't read the document %s: %w", h.ID, err)
		}
		if r.Time, err = time.Parse(time.RFC3339Nano, r.Fields["@timestamp"]); err != nil {
			return nil, fmt.Errorf("couldn't read the time of document %s: %w", h.ID, err)
		}
		delete(r.Fields, "@timestamp")
		out = append(out, r)
	}
	return out, nil
}
