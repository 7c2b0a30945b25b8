package elasticsearch_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/searchnode"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		product searchnode.Product
		options map[string]any
	}{
		{"OpenSearch", searchnode.OpenSearch, map[string]any{}},
		{"OpenSearch, gzip, cut small", searchnode.OpenSearch, map[string]any{"compression": "gzip", "max_body": "256KiB", "operation": "index"}},
		{"Elasticsearch", searchnode.Elasticsearch, map[string]any{"shape": "custom_single"}},
		{"Elasticsearch without ids", searchnode.Elasticsearch, map[string]any{"ids": false, "join_wait": "0s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			flushertest.Run(t, elasticsearch.Kind(), flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				return startIndex(tb, searchnode.Shared(tb, tc.product), tc.options)
			}})
		})
	}
}

// poison is a field whose mapping no text fits.
const poison = "poison"

// startIndex makes an index of a node that others share, behind a proxy of its own.
func startIndex(tb testing.TB, n *searchnode.Node, options map[string]any) flushertest.Target {
	index := "t-" + strings.ToLower(rand.Text())
	n.Must(tb, http.MethodPut, "/"+index, `{"settings":{"number_of_shards":2,"number_of_replicas":0,"index.mapping.total_fields.limit":5000},`+
		`"mappings":{"properties":{"poison":{"type":"long"},"contents":{"properties":{"poison":{"type":"long"}}}}}}`)
	tb.Cleanup(func() { n.Must(tb, http.MethodDelete, "/"+index, "") })
	p := flushertest.NewProxy(tb, n.Addr())
	all := map[string]any{"addresses": []any{"http://" + p.Addr()}, "index": index}
	maps.Copy(all, options)
	settings := func(s string) { n.Must(tb, http.MethodPut, "/"+index+"/_settings", s) }
	return flushertest.Target{
		Options: all,
		Stored:  func() ([]flushertest.Record, error) { return stored(context.WithoutCancel(tb.Context()), n, index) },
		Break:   p.Break,
		Heal: func() {
			settings(`{"index.blocks.read_only_allow_delete":null}`) // alone, or it is refused
			settings(`{"index.blocks.write":null}`)
			p.Heal()
		},
		Hang:      p.Hang,
		Poison:    spoil,
		InitFails: []map[string]any{{"tls": map[string]any{"ca": "no/such/file.pem"}}},
		Answers: map[flushers.Class]func(){
			flushers.ClassMisconfigured: func() { settings(`{"index.blocks.write":true}`) },
			flushers.ClassRetryAfter:    func() { settings(`{"index.blocks.read_only_allow_delete":true}`) }, // what a full disk does
		},
	}
}

func spoil(g *protocol.LogGroup) {
	g.Logs[0].Contents = append(g.Logs[0].Contents, &protocol.Log_Content{Key: poison, Value: "yes"})
}

// stored are the documents of an index as logs, of either shape.
func stored(ctx context.Context, n *searchnode.Node, index string) ([]flushertest.Record, error) {
	hits, err := n.Hits(ctx, index)
	if err != nil {
		return nil, err
	}
	var out []flushertest.Record
	for _, h := range hits {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(h.Source, &members); err != nil {
			return nil, fmt.Errorf("couldn't read the document %s: %w", h.ID, err)
		}
		r := flushertest.Record{Fields: map[string]string{}}
		if r.Time, err = timeOf(members["@timestamp"]); err != nil {
			return nil, fmt.Errorf("couldn't read the time of document %s: %w", h.ID, err)
		}
		delete(members, "@timestamp")
		if inner := members["contents"]; len(inner) > 0 && inner[0] == '{' {
			members = nil
			if err := json.Unmarshal(inner, &members); err != nil {
				return nil, err
			}
		}
		for k, v := range members {
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return nil, fmt.Errorf("couldn't read the field %s of document %s: %w", k, h.ID, err)
			}
			r.Fields[k] = s
		}
		out = append(out, r)
	}
	return out, nil
}

func timeOf(value json.RawMessage) (t time.Time, err error) {
	err = json.Unmarshal(value, &t)
	return t, err
}
