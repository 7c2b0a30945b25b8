package nats

// Bounds of what one strand has outstanding.
const (
	firstAsk = 256 << 10
	maxAsk   = 4 << 20
	maxBatch = 1024
)

// asker decides how much to ask for: more while requests are used up, and
// enough for the sizes that traffic shows. It is a pure state machine.
type asker struct {
	target int64 // bytes of the budget to have outstanding
	mean   int64 // of message sizes, smoothed
	big    int64 // the largest recent size, slowly forgotten
}

func newAsker() asker { return asker{target: firstAsk, mean: 1 << 10} }

// askerFor begins with a size that is known.
func askerFor(size int64) asker {
	a := newAsker()
	a.mean = max(a.mean, size)
	a.big = size
	return a
}

// one is what to have outstanding for a single message of the sizes at hand.
func (a *asker) one() int64 { return max(a.big, a.mean) + 2*overhead }

// saw takes the size of a received message into account.
func (a *asker) saw(size int64) {
	a.mean += (size - a.mean) / 16
	a.big -= a.big >> 10
	a.big = max(a.big, size)
}

// used is told how a request ended: a request that was used up asks for more the
// next time, one that timed out mostly unused for less.
func (a *asker) used(asked, left int64) {
	switch {
	case left <= asked/2:
		a.target = min(2*a.target, maxAsk)
	case left > asked-asked/4:
		a.target = max(a.target/2, firstAsk)
	}
}

// full is what to have outstanding at most, in bytes of the budget.
func (a *asker) full() int64 { return max(a.target, 2*(a.big+overhead)) }

// least is what an ask needs so that the next message probably fits. One that
// was large once must not make every ask wait for that much.
func (a *asker) least() int64 { return min(a.big, 4*a.mean) + 2*overhead }

// split turns bytes of the budget into messages and payload bytes. Smaller
// messages than usual may come, so it allows for some more than fit.
func (a *asker) split(budget int64, most int) (msgs int, bytes int64) {
	n := budget / (a.mean*3/4 + overhead)
	msgs = int(min(max(n, 1), int64(most)))
	return msgs, budget - int64(msgs)*overhead
}
