package history

import (
	"slices"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// What cannot be told from an expired message is read again, what comes before it
// is kept.
func TestCutAtTheFirstGap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		positions, kept []int64
		next            int64
	}{
		"a gap behind two messages": {[]int64{10, 11, 15, 16, 20}, []int64{10, 11}, 12},
		"a gap at the begin":        {[]int64{12, 13}, nil, 10},
		"nothing at all":            {nil, nil, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tk := &taken{}
			tk.batch.Next = 10
			for i, at := range c.positions {
				tk.pass(at)
				got := nats.Received{Message: queue.Message{Position: at}}
				if i == 2 {
					got.Origin = queue.Origin{7}
				}
				tk.add(&got)
			}
			tk.pass(30)
			if some := tk.cut(); some != (len(c.kept) > 0) {
				t.Errorf("something is left: %v", some)
			}
			var kept []int64
			for i := range tk.batch.Messages {
				kept = append(kept, tk.batch.Messages[i].Position)
			}
			b := &tk.batch
			if !slices.Equal(kept, c.kept) || b.Next != c.next || len(tk.gaps) != 0 || b.Origins != nil && len(b.Origins) != len(kept) {
				t.Errorf("kept %v up to %d with %d origins, want %v up to %d", kept, b.Next, len(b.Origins), c.kept, c.next)
			}
		})
	}
}
