package nats

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// backlog reads what a companion holds, lane by lane.
type backlog struct {
	conn   *Conn
	stream string
	prefix string // of subjects

	mu    sync.Mutex
	known map[string]*oldest // by the subject behind the prefix
}

// oldest is the first record of a lane as it was last read.
type oldest struct {
	lane  queue.Lane
	ok    bool // lane is known
	count uint64
	read  bool // at and size are of the record that is the first now
	at    time.Time
	size  int64
}

func newBacklog(conn *Conn, one Consumer) *backlog {
	name := parkedKind.stream(one)
	return &backlog{conn: conn, stream: name, prefix: name + ".", known: map[string]*oldest{}}
}

// listing is what a stream holds at one moment.
type listing struct {
	info  *jetstream.StreamInfo
	lanes map[string]uint64 // records by subject, without the prefix
	tails map[string]uint64 // chunks likewise
}

func (b *backlog) list(ctx context.Context) (*listing, error) {
	info, counts, err := b.conn.subjects(ctx, b.stream, b.prefix+">")
	if err != nil {
		return nil, err
	}
	l := &listing{info: info, lanes: map[string]uint64{}, tails: map[string]uint64{}}
	for subject, n := range counts {
		suffix := strings.TrimPrefix(subject, b.prefix)
		if _, tail := headOf(suffix); tail {
			l.tails[suffix] = n
		} else {
			l.lanes[suffix] = n
		}
	}
	b.learn(l)
	return l, nil
}

// learn notes the counts: where one fell the oldest record may be another one.
func (b *backlog) learn(l *listing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for suffix := range b.known {
		if l.lanes[suffix] == 0 {
			delete(b.known, suffix)
		}
	}
	for suffix, n := range l.lanes {
		o := b.known[suffix]
		if o == nil {
			o = &oldest{}
			if lane, err := queue.ParseLane(suffix); err == nil && letterSubject(lane.String()) == suffix {
				o.lane, o.ok = lane, true
			}
			b.known[suffix] = o
		}
		o.read = o.read && n >= o.count
		o.count = n
	}
}

// stale says that records of a lane have ended.
func (b *backlog) stale(suffix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.known[suffix]; o != nil {
		o.read = false
	}
}

// peek is what is known without asking.
func (b *backlog) peek(suffix string) oldest {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.known[suffix]; o != nil {
		return *o
	}
	return oldest{}
}

// first asks for the oldest record of a lane unless it is known. It is errNoMessage
// when there is none.
func (b *backlog) first(ctx context.Context, suffix string) (oldest, error) {
	if o := b.peek(suffix); o.read {
		return o, nil
	}
	m, err := b.conn.oldest(ctx, b.stream, b.prefix+suffix)
	if err != nil {
		return oldest{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.known[suffix]
	if o == nil {
		o = &oldest{}
		b.known[suffix] = o
	}
	o.at, o.size, o.read = m.Time, int64(len(b.prefix)+len(suffix))+m.Size(), true
	if !o.ok {
		o.lane, o.ok = laneOf(&m)
	}
	return *o, nil
}

// laneOf reads a lane from a record whose subject does not say it.
func laneOf(m *queue.Message) (lane queue.Lane, ok bool) {
	to, _ := m.Header(queue.HeaderTo)
	t := strings.Split(to, "/")
	if len(t) < 3 {
		return lane, false
	}
	lane.Route, lane.Flusher = t[len(t)-2], t[len(t)-1]
	lane.Project, _ = m.Header("x-log-project")
	lane.Logstore, _ = m.Header("x-log-logstore")
	lane.Config, _ = m.Header("x-log-config")
	return lane, true
}

// mostAges bounds how many records one answer reads to say how old they are; the
// others are told with the next one.
const mostAges = 1000

func (b *backlog) lanes(ctx context.Context) ([]queue.Backlog, error) {
	l, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	var out []queue.Backlog
	asked := 0
	for suffix, n := range l.lanes {
		o := b.peek(suffix)
		if !o.read && asked < mostAges {
			asked++
			o, err = b.first(ctx, suffix)
			if errors.Is(err, errNoMessage) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		out = append(out, queue.Backlog{Lane: o.lane, Place: b.prefix + suffix, Messages: int64(n), Oldest: o.at})
	}
	slices.SortFunc(out, func(x, y queue.Backlog) int {
		return cmp.Or(cmp.Compare(x.Lane.String(), y.Lane.String()), cmp.Compare(x.Place, y.Place))
	})
	return out, nil
}
