package blackhole_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

var key = protocol.Key{Project: "p", Logstore: "l", Config: "c"}

func TestOptionTags(t *testing.T) {
	t.Parallel()
	if err := option.Check(&blackhole.Flusher{}); err != nil {
		t.Error(err)
	}
}

func TestFlushCostsNoMemory(t *testing.T) {
	f := &blackhole.Flusher{}
	if err := f.Init(flushertest.NewContext(t, key)); err != nil {
		t.Fatal(err)
	}
	groups := []*protocol.LogGroup{{}}
	allocs := testing.AllocsPerRun(1000, func() {
		if !f.IsReady("p", "l", 0) || f.Flush("p", "l", "c", groups) != nil {
			t.Error("not stored")
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations a Flush, want 0", allocs)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &blackhole.Flusher{Delay: time.Minute}
		if err := f.Init(flushertest.NewContext(t, key)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := f.Flush("p", "l", "c", []*protocol.LogGroup{{}}); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began); got != time.Minute {
			t.Errorf("Flush took %v, want the delay of 1m", got)
		}
	})
}
