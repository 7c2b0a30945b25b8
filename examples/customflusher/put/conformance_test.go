package put_test

import (
	"testing"

	"example.com/customflusher/put"
	"github.com/flushline/flushline/flushers/flushertest"
)

func TestItKeepsTheContract(t *testing.T) {
	t.Parallel()
	flushertest.Run(t, put.Kind(), flushertest.Harness{Start: destination})
}
