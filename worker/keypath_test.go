package worker

import (
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

func TestKeysOfFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          protocol.Key
	}{
		{"{project}/{logstore}/*", "shop/orders/a.jsonl", protocol.Key{Project: "shop", Logstore: "orders"}},
		{"{project}/{logstore}/*", "shop/orders", protocol.Key{}},
		{"{project}/{logstore}/*", "shop/orders/2026/a.jsonl", protocol.Key{}},
		{"{project}/{logstore}/**", "shop/orders/2026/a.jsonl", protocol.Key{Project: "shop", Logstore: "orders"}},
		{"{project}/{logstore}/**", "shop/orders/a", protocol.Key{Project: "shop", Logstore: "orders"}},
		{"{project}/{logstore}/**", "shop/orders", protocol.Key{}},
		{"{project}/{logstore}.*", "shop/orders.pod-0.000001.jsonl.gz", protocol.Key{Project: "shop", Logstore: "orders"}},
		{"{project}/{logstore}.*", "shop/orders", protocol.Key{Project: "shop", Logstore: "orders"}},
		{"{project}/{logstore}.*", "shop/a%2Eb.x", protocol.Key{Project: "shop", Logstore: "a.b"}},
		{"old/{project}.*/{config}.*/**", "old/p.x/c.y/z/zz", protocol.Key{Project: "p", Config: "c"}},
		{"old/{project}/**", "new/p/x", protocol.Key{}},
	} {
		k, err := newKeyer([]KeyRule{{From: KeyPath, Pattern: c.pattern}})
		if err != nil {
			t.Fatal(err)
		}
		if got := k.ofMessage(&queue.Message{Subject: c.name}); got != c.want {
			t.Errorf("%s of %s is %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	// What only files have is text elsewhere.
	if _, err := newKeyer([]KeyRule{messageRule("{project}.*/x")}); err == nil {
		t.Error("a message key has a part that ends at a dot")
	}
}
