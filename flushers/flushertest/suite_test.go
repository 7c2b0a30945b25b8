package flushertest_test

import (
	"testing"

	"github.com/flushline/flushline/flushers/flushertest"
)

func TestAnHonestKindPasses(t *testing.T) {
	flushertest.Run(t, kindOf(newHonest), flushertest.Harness{Start: start(nil)})
}
