package put_test

import (
	"testing"

	"example.com/customflusher/put"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/flushertest/e2e"
)

func TestKilledWorkersLoseNothing(t *testing.T) {
	t.Parallel()
	e2e.Run(t, put.Kind(), flushertest.Harness{Start: destination})
}
