package destinations

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/test/searchnode"
)

// searchTarget is a node of its own, with an index for the day of each log.
func searchTarget(p searchnode.Product) func(testing.TB) flushertest.Target {
	return func(tb testing.TB) flushertest.Target {
		n := searchnode.Start(tb, searchnode.Options{Product: p})
		name := topicName(tb)
		return flushertest.Target{
			Options: map[string]any{"addresses": []string{n.URL()}, "index": name + "-{date:2006.01.02}"},
			Stored:  func() ([]flushertest.Record, error) { return readIndex(tb, n, name+"-*") },
			Break: func() {
				n.Kill()
				<-time.After(time.Second)
			},
			Heal: func() { n.Restart(tb, nil) },
		}
	}
}

// readIndex reads documents as the kind writes them: text, and the time of the log.
func readIndex(tb testing.TB, n *searchnode.Node, index string) ([]flushertest.Record, error) {
	hits, err := n.Hits(tb.Context(), index)
	if err != nil {
		return nil, err
	}
	out := make([]flushertest.Record, 0, len(hits))
	for i := range hits {
		r := flushertest.Record{}
		if err := json.Unmarshal(hits[i].Source, &r.Fields); err != nil {
			return nil, fmt.Errorf("the document %s is no object of texts: %w", hits[i].ID, err)
		}
		if r.Time, err = time.Parse(time.RFC3339Nano, r.Fields["@timestamp"]); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
