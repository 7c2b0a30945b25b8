package jobstate

import (
	"bytes"
	"testing"
	"time"
)

// look is a shard as it is seen after some time.
type look struct {
	after    time.Duration
	revision uint64
	holder   string
}

func TestWhoIsTakenForDead(t *testing.T) {
	t.Parallel()
	every := (&watch{lease: 10 * time.Second}).every()
	still := func(n int, first ...look) []look {
		for range n {
			first = append(first, look{every, 7, "somebody"})
		}
		return first
	}
	for name, c := range map[string]struct {
		looks       []look
		theirs      time.Duration
		free, alive bool
	}{
		"nobody":                              {[]look{{0, 7, ""}}, 0, true, false},
		"a holder that is seen first":         {still(0, look{0, 7, "somebody"}), 0, false, false},
		"almost a lease of silence":           {still(19, look{0, 7, "somebody"}), 0, false, false},
		"a lease of silence":                  {still(20, look{0, 7, "somebody"}), 0, true, false},
		"a sign of life":                      {still(3, look{0, 6, "somebody"}), 0, false, true},
		"released meanwhile":                  {append(still(3, look{0, 7, "somebody"}), look{every, 8, ""}), 0, true, false},
		"silence while nobody could look":     {[]look{{0, 7, "somebody"}, {time.Hour, 7, "somebody"}, {time.Hour, 7, "somebody"}}, 0, false, false},
		"a holder with a longer lease":        {still(20, look{0, 7, "somebody"}), 20 * time.Second, false, false},
		"a longer lease that is over as well": {still(40, look{0, 7, "somebody"}), 20 * time.Second, true, false},
	} {
		w := watch{lease: 10 * time.Second}
		now := time.Now()
		var free, alive bool
		for _, l := range c.looks {
			if free || alive {
				break
			}
			now = now.Add(l.after)
			free, alive = w.see(&shard{head: head{Holder: l.holder, Lease: c.theirs}, revision: l.revision}, now)
		}
		if free != c.free || alive != c.alive {
			t.Errorf("%s: free %v, alive %v", name, free, alive)
		}
	}
	if free, _ := (&watch{}).see(nil, time.Now()); !free {
		t.Error("a shard that nobody had is not free")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"holder":"a, process 1","claim":"x","write":2,"lease":10}`+"\ncheckpoint\nwith lines"), []byte("c"))
	f.Add([]byte("{}\n"), []byte{})
	f.Fuzz(func(t *testing.T, value, checkpoint []byte) {
		h, _, ok := decode(value)
		if !ok {
			return
		}
		again, err := encode(h, checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if h2, c, ok := decode(again); !ok || h2 != h || !bytes.Equal(c, checkpoint) {
			t.Errorf("%+v and %q came back as %+v and %q, %v", h, checkpoint, h2, c, ok)
		}
	})
}
