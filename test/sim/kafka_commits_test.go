package sim

import (
	"context"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commits holds every commit that reaches a coordinator to what has ended at that
// moment, to who owns the partition, and to what was committed before.
type commits struct {
	book    *book
	cluster *cluster
	static  bool // members have names that they keep; what follows the last "-" is new each time

	news chan struct{} // there is something to look at

	mu      sync.Mutex
	gen     int32            // the newest that was seen shared out
	owners  map[int32]string // who was given a partition last; who lets it go may commit until somebody has it
	asked   []asked
	reached map[int32]int64 // all below is known to have ended
	stored  map[int32]int64 // what the coordinator was seen to have
	stale   int             // commits of an older generation
}

// asked is a commit of one partition as it reached the coordinator.
type asked struct {
	member    string
	gen       int32
	partition int32
	offset    int64
}

func watchCommits(b *book, c *cluster, static bool) *commits {
	w := &commits{
		book: b, cluster: c, static: static, news: make(chan struct{}, 1),
		gen: -1, owners: map[int32]string{}, reached: map[int32]int64{}, stored: map[int32]int64{},
	}
	c.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		w.poke()
		return nil, nil, false
	})
	c.ControlKey(int16(kmsg.OffsetCommit), func(q kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		w.ask(q.(*kmsg.OffsetCommitRequest))
		w.poke()
		return nil, nil, false
	})
	return w
}

func (w *commits) poke() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// ask judges a commit before the coordinator does: whatever it makes of it, nobody may
// ask for more than has ended.
func (w *commits) ask(q *kmsg.OffsetCommitRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			w.asked = append(w.asked, asked{w.member(q.MemberID), q.Generation, p.Partition, p.Offset})
			w.endedLocked(p.Partition, p.Offset)
		}
	}
}

// member is who has an id. One with a name of its own comes back under another id and
// goes on with what it had.
func (w *commits) member(id string) string {
	if w.static {
		return id[:max(0, strings.LastIndexByte(id, '-'))]
	}
	return id
}

// endedLocked has the book look at everything below an offset. Where it knows no
// message is what belongs to a transaction.
func (w *commits) endedLocked(p int32, offset int64) {
	for ; w.reached[p] < offset; w.reached[p]++ {
		if at := place(p, w.reached[p]); w.book.knows(at) {
			w.book.acknowledged(at)
		}
	}
}

// follow looks at what the coordinator made of what it was asked.
func (w *commits) follow(ctx context.Context) {
	for {
		select {
		case <-w.news:
			if g := w.cluster.GroupInfo(kafkaGroup); g != nil {
				w.look(g)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (w *commits) look(g *kfake.GroupInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.State == "Stable" && g.Epoch > w.gen {
		w.sharedLocked(g)
	}
	for _, a := range w.asked {
		owner, known := w.owners[a.partition]
		switch {
		case a.gen < g.Epoch:
			w.stale++ // and refused; or the group has gone on since, which nobody can tell
		case a.gen == w.gen && known && owner != a.member:
			w.book.violate("%s commits %d of partition %d in generation %d, which belongs to %s", a.member, a.offset, a.partition, a.gen, owner)
		}
	}
	w.asked = nil
	for p, c := range g.Commits[kafkaTopic] {
		if c.Offset < w.stored[p] {
			w.book.violate("the commit of partition %d went back from %d to %d", p, w.stored[p], c.Offset)
		}
		w.stored[p] = c.Offset
	}
}

// sharedLocked takes in who was given what. Who had a partition that nobody is given
// still lets it go, unless a generation passed unseen: then nobody knows.
func (w *commits) sharedLocked(g *kfake.GroupInfo) {
	if g.Epoch > w.gen+1 {
		clear(w.owners)
	}
	w.gen = g.Epoch
	given := map[int32]string{}
	for _, m := range g.Members {
		for _, p := range m.Assignment[kafkaTopic] {
			if other, twice := given[p]; twice {
				w.book.violate("generation %d gives partition %d to %s and %s", g.Epoch, p, other, m.MemberID)
			}
			given[p] = m.MemberID
			w.owners[p] = w.member(m.MemberID)
		}
	}
}

// staleOnes is how many commits came under a generation that was over.
func (w *commits) staleOnes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stale
}

// knows says whether a message was stored, or seen, at a place.
func (b *book) knows(place string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.places[place] != nil
}
