package producer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Options say how records are sent.
type Options struct {
	Codec      compress.Codec // nil: not compressed
	BatchBytes int            // of a batch before compression, unless it is one record
	Patience   time.Duration  // how long a leader may take for a request
}

const (
	awayFor      = time.Second      // not ready after no broker answered
	mostThrottle = 30 * time.Second // of what a quota asks for
	idleTopic    = time.Hour        // a topic that nobody wrote to is forgotten
	manyTopics   = 1_000            // before the idle ones are looked for
)

// Producer is the way to one cluster. Safe for concurrent use.
type Producer struct {
	client *wire.Client
	opt    Options

	waitTil atomic.Int64 // of package clock: no broker answers, or one throttles us

	mu      sync.Mutex
	topics  map[string]*topic
	leaders map[string]*leader // by address
	closed  bool
}

// New takes the client over: Close ends it. It dials nothing.
func New(client *wire.Client, o Options) *Producer {
	return &Producer{client: client, opt: o, topics: map[string]*topic{}, leaders: map[string]*leader{}}
}

// Close ends what is under way. Messages of calls that still run fail.
func (p *Producer) Close() error {
	p.mu.Lock()
	p.closed = true
	leaders := p.leaders
	p.leaders = nil
	p.mu.Unlock()
	p.client.Close() // what waits for an answer fails now
	for _, l := range leaders {
		_ = l.commit.Close() // always nil
	}
	return nil
}

// Ready is false for a second after no broker answered, and as long as the quota of
// one asks us to wait, 30 s at most.
func (p *Producer) Ready() bool { return clock.Now() >= p.waitTil.Load() }

// wait makes the producer unready for d, if it is not for longer.
func (p *Producer) wait(d time.Duration) {
	til := clock.Now() + int64(d)
	for {
		was := p.waitTil.Load()
		if was >= til || p.waitTil.CompareAndSwap(was, til) {
			return
		}
	}
}

// Message is one record on its way.
type Message struct {
	Topic  string
	Record wire.Record // with a Key it goes to the partition that the key's murmur2 names, as with the Java client
	Turn   bool        // without Key: each to the next partition

	// Err is nil when Deliver stored the record, else why not. A message that has one
	// before is left alone.
	Err error
}

// Deliver stores the messages and returns when each has its result, or soon after ctx
// ends. Those of one partition are stored in their order. Nothing of the records is
// read after it returned. Several messages may be stored although others failed.
func (p *Producer) Deliver(ctx context.Context, ms []Message) {
	parcels := p.sort(ctx, ms)
	if len(parcels) == 1 { // the usual case needs no goroutine
		parcels[0].send(ctx)
		return
	}
	var wg sync.WaitGroup
	for _, b := range parcels {
		wg.Go(func() { b.send(ctx) })
	}
	wg.Wait()
}

// sort makes a parcel for each leader. What has no place yet gets its error.
func (p *Producer) sort(ctx context.Context, ms []Message) []*parcel {
	var parcels []*parcel
	var at *place // of the message before: most batches have one topic
	for i := range ms {
		m := &ms[i]
		if m.Err != nil {
			continue
		}
		if at == nil || at.topic.name != m.Topic {
			at = p.place(ctx, m.Topic)
		}
		if at.err != nil {
			m.Err = at.err
			continue
		}
		size := m.Record.Size()
		partition, err := at.topic.pick(at.layout, m, size)
		if err != nil {
			m.Err = err
			continue
		}
		b := parcelTo(&parcels, at.layout.leaders[partition], len(ms)-i)
		b.items = append(b.items, item{
			at: wire.TopicPartition{Topic: at.topic.name, Partition: partition}, topic: at.topic, message: m, size: size,
		})
	}
	return parcels
}

// parcelTo finds or begins the parcel of a leader: there are few.
func parcelTo(parcels *[]*parcel, to *leader, most int) *parcel {
	for _, b := range *parcels {
		if b.to == to {
			return b
		}
	}
	b := &parcel{to: to, items: make([]item, 0, most)}
	*parcels = append(*parcels, b)
	return b
}

// place is a topic as it is known now, or why nothing can be stored in it.
type place struct {
	topic  *topic
	layout *layout
	err    error
}

func (p *Producer) place(ctx context.Context, name string) *place {
	t, err := p.topic(name)
	if err != nil {
		return &place{topic: &topic{name: name}, err: err}
	}
	l, err := t.current(ctx)
	return &place{topic: t, layout: l, err: err}
}

func (p *Producer) topic(name string) (*topic, error) {
	now := clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	t := p.topics[name]
	if t == nil {
		if len(p.topics) >= manyTopics {
			p.forgetLocked(now)
		}
		t = newTopic(p, name)
		p.topics[name] = t
	}
	t.used = now
	return t, nil
}

// forgetLocked lets go of the topics that nobody wrote to for long.
func (p *Producer) forgetLocked(now int64) {
	for name, t := range p.topics {
		if now-t.used > int64(idleTopic) {
			delete(p.topics, name)
		}
	}
}

// leader is the one at an address; "" is nil.
func (p *Producer) leader(addr string) *leader {
	if addr == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.leaders[addr]
	if l == nil {
		l = &leader{p: p, addr: addr}
		l.commit = flushers.NewGroupCommit(flushers.CommitLimits{Bytes: requestBytes}, l.write)
		if p.closed {
			_ = l.commit.Close() // always nil
			return l
		}
		p.leaders[addr] = l
	}
	return l
}

var errClosed = fmt.Errorf("couldn't reach Kafka: %w", wire.ErrClosed)
