package elasticsearch_test

import (
	"testing"

	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/flushertest/e2e"
	"github.com/flushline/flushline/test/searchnode"
)

func TestKilledWorkersLoseNothing(t *testing.T) {
	for _, p := range searchnode.Products() {
		t.Run(p.String(), func(t *testing.T) {
			e2e.Run(t, elasticsearch.Kind(), flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				return startIndex(tb, searchnode.Shared(tb, p), nil)
			}})
		})
	}
}
