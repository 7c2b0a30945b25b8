package http

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	doubtTimes = 3                // answers that count before they are believed
	doubtApart = 10 * time.Second // between two that count, unless the line was seen to work
	doubtMost  = 16               // bodies that are remembered; one that is forgotten is counted anew
)

// doubts counts answers that may be about a connection or about the body that was sent
// on it: 400 from a server that then closes is what it says of half a request. A line
// that breaks does so for a while and may break behind so many bytes, so that small
// bodies pass and a large one never does, however often it is tried. An answer counts
// when since the one before it a body at least as large was taken, or time has passed.
// Safe for concurrent use.
type doubts struct {
	any  atomic.Bool // there are some: what is taken is of interest
	mu   sync.Mutex
	seed maphash.Seed
	seen []doubt // the newest last
}

type doubt struct {
	body    uint64
	size    int
	times   int
	counted int64 // when, of package clock
	works   bool  // the line carried as much since
}

// believe notes such an answer and says whether it has to be about the body.
func (d *doubts) believe(body []byte, now int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seed == (maphash.Seed{}) {
		d.seed = maphash.MakeSeed()
	}
	this := doubt{body: maphash.Bytes(d.seed, body), size: len(body), works: true}
	if at := slices.IndexFunc(d.seen, func(o doubt) bool { return o.body == this.body }); at >= 0 {
		this = d.seen[at]
		d.seen = slices.Delete(d.seen, at, at+1)
	}
	if this.works || now-this.counted >= int64(doubtApart) {
		this.works, this.counted = false, now
		this.times++
	}
	if this.times >= doubtTimes {
		d.any.Store(len(d.seen) > 0)
		return true
	}
	if len(d.seen) == doubtMost {
		d.seen = slices.Delete(d.seen, 0, 1)
	}
	d.seen = append(d.seen, this)
	d.any.Store(true)
	return false
}

// taken notes that a body of this size arrived whole.
func (d *doubts) taken(size int) {
	if !d.any.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.seen {
		d.seen[i].works = d.seen[i].works || d.seen[i].size <= size
	}
}
