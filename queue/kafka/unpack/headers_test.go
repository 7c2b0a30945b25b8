package unpack

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
)

func TestHeadersAreShared(t *testing.T) { // not parallel: it counts allocations
	raw := func(kv ...string) (hs []record.Header) {
		for i := 0; i < len(kv); i += 2 {
			hs = append(hs, record.Header{Key: []byte(kv[i]), Value: []byte(kv[i+1])})
		}
		return hs
	}
	var c headers
	first, _, _ := c.of(raw("x-log-project", "shop", "x-log-logstore", "access"))
	again, _, _ := c.of(raw("x-log-project", "shop", "x-log-logstore", "access"))
	if &first[0] != &again[0] {
		t.Error("the same headers are two lists")
	}
	other, _, _ := c.of(raw("x-log-project", "shop", "x-log-logstore", "errors"))
	want := []queue.Header{{Key: "x-log-project", Value: "shop"}, {Key: "x-log-logstore", Value: "errors"}}
	if diff := cmp.Diff(want, other); diff != "" {
		t.Errorf("other headers (-want +got):\n%s", diff)
	}
	if first[1].Value != "access" {
		t.Errorf("the list of an earlier message became %v", first)
	}
	if none, _, _ := c.of(nil); none != nil {
		t.Errorf("no headers became %v", none)
	}
	allocations := testing.AllocsPerRun(100, func() { c.of(nil) })
	hs := raw("x-log-project", "shop", "x-log-logstore", "errors")
	if allocations += testing.AllocsPerRun(100, func() { c.of(hs) }); allocations != 0 {
		t.Errorf("%v allocations for headers that were there before", allocations)
	}
}

func TestWrapSaysHow(t *testing.T) {
	t.Parallel()
	got := wrap([]queue.Header{{Key: "a", Value: "b"}, {Key: "Content-Encoding", Value: "none"}})
	if diff := cmp.Diff([]queue.Header{{Key: "a", Value: "b"}, {Key: "content-encoding", Value: "zstd"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := wrap([]queue.Header{{Key: "content-encoding", Value: "gzip"}}); got != nil {
		t.Errorf("a value that is compressed already got %v", got)
	}
}
