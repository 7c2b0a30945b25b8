package kafka

import (
	"sync"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// cursor is the place of one lease in its partition: what has ended, and what of
// that the group has stored. It makes the marks that the committer sends.
//
// received is for the goroutine that receives; all else may be called from any.
type cursor struct {
	partition wire.TopicPartition
	scope     string
	mark      *queue.Watermark

	inherited []queue.Interval // ended under earlier leases; never changes
	ahead     []queue.Interval // of received: those of them that are not passed
	foreign   bool             // there was metadata, and it is no map for this place

	mu        sync.Mutex
	committed int64 // confirmed by the broker; -1: nothing is
	metadata  string
	at        time.Time
	err       error
	since     time.Time
	over      bool // the lease has ended: nothing more is committed
	plain     bool // the broker takes no metadata as long as ours
}

// inheritance is what earlier owners of a partition left to a lease.
type inheritance struct {
	Cluster   string // its id, so that a map from another cluster says nothing here
	Partition wire.TopicPartition
	Committed int64 // as the coordinator answered; -1: nothing, or nothing about this log
	Metadata  string
	Ended     []queue.Interval // known to have ended, whether or not Metadata has room for it
}

// newCursor begins at start: the committed offset, or what was chosen in its
// place. The gap map counts unless start is below the committed offset: then the
// log is not the one that it speaks of.
func newCursor(from inheritance, start int64, span int, now time.Time) *cursor {
	c := &cursor{
		partition: from.Partition,
		scope:     from.Cluster + "/" + from.Partition.String(),
		mark:      queue.NewWatermark(start, span),
		committed: from.Committed,
		metadata:  from.Metadata,
		at:        now,
	}
	ended, ok := decodeGaps(c.scope, from.Committed, from.Metadata)
	c.foreign = !ok && from.Metadata != ""
	if from.Committed < 0 || start < from.Committed {
		ended = nil
	}
	c.inherited = union(aboveOf(ended, start), aboveOf(from.Ended, start))
	c.ahead = c.inherited
	return c
}

// heir is what the next cursor of the same lease goes on from, and at which position.
func (c *cursor) heir() (from inheritance, next int64) {
	low, ended := c.mark.Above()
	c.mu.Lock()
	defer c.mu.Unlock()
	return inheritance{
		Partition: c.partition, Committed: c.committed, Metadata: c.metadata,
		Ended: union(aboveOf(c.inherited, low), ended),
	}, low
}

// left is how many positions an earlier owner left as ended. foreign says that
// there is metadata that is no map for this place: what ended above the committed
// offset, if anything did, comes again.
func (c *cursor) left() (positions int64, foreign bool) {
	for _, iv := range c.inherited {
		positions += iv.To - iv.From
	}
	return positions, c.foreign
}

// received takes in the message at a position. already says that it ended under an
// earlier lease: it is not to be delivered, and needs no end. Positions ascend.
func (c *cursor) received(pos int64) (ordinal int64, already bool) {
	for len(c.ahead) > 0 && c.ahead[0].To <= pos {
		c.ahead = c.ahead[1:]
	}
	ordinal = c.mark.Add(pos)
	if len(c.ahead) == 0 || pos < c.ahead[0].From {
		return ordinal, false
	}
	if ordinal >= 0 {
		c.mark.End(ordinal)
	}
	return ordinal, true
}

// standing is what a cursor says of itself.
type standing struct {
	committed int64     // confirmed by the broker; -1: nothing is
	at        time.Time // when it was last confirmed, or last found to be all there was to commit
	low       int64     // what could be committed
	err       error     // why the last commit failed; nil: it did not
	since     time.Time // of the first failure in a row
}

func (c *cursor) status() standing {
	low := c.mark.Low()
	c.mu.Lock()
	defer c.mu.Unlock()
	return standing{c.committed, c.at, low, c.err, c.since}
}

// end says that the lease is over: nothing is committed any more, and the answer
// of a commit that is under way changes nothing.
func (c *cursor) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// mark is a position to commit for a cursor.
type mark struct {
	cursor   *cursor
	offset   int64
	metadata string
}

// due returns what a commit between times would store, if there is anything new:
// the watermark, with what is left of the inherited map. A position that does not
// move is not committed again.
func (c *cursor) due(now time.Time) (mark, bool) {
	low := c.mark.Low()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over && !mutant.On(mutant.CommitAfterEnd):
		return mark{}, false
	case low == c.committed:
		c.at, c.err, c.since = now, nil, time.Time{}
		return mark{}, false
	}
	return mark{c, low, c.describe(low, aboveOf(c.inherited, low))}, true
}

// last returns what the lease's last commit has to store: the watermark, with all
// that is known to have ended above it. It is not news if that is stored already.
func (c *cursor) last() (m mark, over, news bool) {
	low, ended := c.mark.Above()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over && !mutant.On(mutant.CommitAfterEnd) {
		return mark{}, true, false
	}
	m = mark{c, low, c.describe(low, union(aboveOf(c.inherited, low), ended))}
	return m, false, m.offset != c.committed || m.metadata != c.metadata
}

func (c *cursor) describe(low int64, ended []queue.Interval) string {
	if c.plain {
		return ""
	}
	return encodeGaps(c.scope, low, ended, metadataLimit)
}

// stored takes in the answer to a commit.
func (c *cursor) stored(m mark, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
	case err == nil:
		c.committed, c.metadata, c.at = m.offset, m.metadata, now
		c.err, c.since = nil, time.Time{}
	default:
		if c.err == nil {
			c.since = now
		}
		c.err = err
		c.plain = c.plain || tooMuchMetadata(err)
	}
}
