package http

import (
	"hash/maphash"
	"slices"
	"sync"
)

const (
	doubtTimes = 3  // answers before they are believed
	doubtMost  = 16 // bodies that are remembered; one that is forgotten is counted anew
)

// doubts counts answers that may be about a connection or about the body that was sent
// on it: 400 from a server that then closes is what it says of half a request. A line
// that breaks does so for a while, so one repetition shows nothing; and a batch that
// failed otherwise before has not been answered yet. Safe for concurrent use.
type doubts struct {
	mu   sync.Mutex
	seed maphash.Seed
	seen []doubt // the newest last
}

type doubt struct {
	body  uint64
	times int
}

// believe notes such an answer and says whether it has to be about the body.
func (d *doubts) believe(body []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seed == (maphash.Seed{}) {
		d.seed = maphash.MakeSeed()
	}
	this := doubt{body: maphash.Bytes(d.seed, body)}
	if at := slices.IndexFunc(d.seen, func(o doubt) bool { return o.body == this.body }); at >= 0 {
		this = d.seen[at]
		d.seen = slices.Delete(d.seen, at, at+1)
	}
	if this.times++; this.times >= doubtTimes {
		return true
	}
	if len(d.seen) == doubtMost {
		d.seen = slices.Delete(d.seen, 0, 1)
	}
	d.seen = append(d.seen, this)
	return false
}
