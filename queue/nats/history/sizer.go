package history

import "github.com/flushline/flushline/queue"

// leastBytes is what a request allows at least, so that few bytes of budget do not
// ask for small messages one by one.
const leastBytes = 32 << 10

// sizer turns bytes of the budget into messages and bytes of payload.
type sizer struct {
	most int
	mean int64 // of message sizes, smoothed
}

func newSizer(most int) sizer { return sizer{most: most, mean: 1 << 10} }

func (z *sizer) saw(size int64) { z.mean += (size - z.mean) / 16 }

// split allows for messages that are smaller than usual, so that a request ends by
// its bytes rather than by its count.
func (z *sizer) split(budget, left int64) (msgs int, bytes int64) {
	n := max(budget/(z.mean*3/4+queue.Bookkeeping), 1)
	n = min(n, int64(z.most), left)
	return int(n), max(budget-n*queue.Bookkeeping, leastBytes)
}
