package group

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Member is one member of a consumer group. Its methods may be called from any
// goroutine.
type Member struct {
	cfg Config
	log *zap.Logger

	mu      sync.Mutex
	machine *machine
	timer   *time.Timer
	before  map[wire.TopicPartition]string // target of the plan that we made last
	changed chan struct{}                  // closed with the next event; nil: nobody waits
	healthy bool                           // as logged

	ground atomic.Pointer[time.Time] // the machine's

	calls    context.Context // of requests
	callsEnd context.CancelFunc
	strands  context.Context // of leases
	done     chan struct{}   // the machine has ended
	running  sync.WaitGroup
	line     chan struct{} // holds one while a commit is under way
}

// New makes a member; Run makes it one of the group.
func New(cfg Config) (*Member, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	m := &Member{
		cfg: cfg, log: cfg.Log.With(zap.String("group", cfg.Group)),
		machine: newMachine(rules{
			session: cfg.Session, heartbeat: cfg.Heartbeat, drain: cfg.Drain,
			seed:   rand.Uint32(),
			leaves: cfg.Instance == "" || cfg.LeaveOnStop,
		}),
		healthy: true,
		done:    make(chan struct{}),
		line:    make(chan struct{}, 1),
	}
	return m, nil
}

// Run joins the group once Subscribe has been called, and serves what it is given
// until ctx ends; the cause of that, a *queue.End, reaches the leases. They drain
// while the member goes on beating; then it leaves, unless it is static and stays.
// Run returns when every Serve has returned. It may be called once.
//
// An error is what no retry mends: before the first successful join whatever the
// coordinator refuses for good, later only that another process took over our
// instance name (kafka.FencedInstanceID). All other trouble is state: see Status.
func (m *Member) Run(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	m.mu.Lock()
	m.strands = lasting
	m.calls, m.callsEnd = context.WithCancel(lasting)
	m.machine.tick(time.Now())
	m.carry(time.Now())
	m.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		end := m.endOf(ctx)
		m.event(func(now time.Time) { m.machine.stop(now, end) })
	})
	defer stop()
	<-m.done
	m.callsEnd()
	m.running.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer.Stop()
	err := m.machine.failure
	code, _ := wire.Code(err)
	switch {
	case err == nil:
		return nil
	case judge(err) == usurped:
		return fmt.Errorf("couldn't stay in group %q: another process took over the instance id %q: give each process its own: %w", m.cfg.Group, m.cfg.Instance, err)
	case code == kafka.InconsistentGroupProtocol:
		return fmt.Errorf("couldn't join group %q: consumers of another kind are in it: stop them or use another group: %w", m.cfg.Group, err)
	}
	return fmt.Errorf("couldn't join group %q: %w", m.cfg.Group, err)
}

// endOf is why ctx ended, as leases are told.
func (m *Member) endOf(ctx context.Context) *queue.End {
	end := queue.End{Reason: queue.Stopping}
	var given *queue.End
	if errors.As(context.Cause(ctx), &given) {
		end = *given
	}
	if end.Deadline.IsZero() {
		end.Deadline = time.Now().Add(m.cfg.Drain)
	}
	return &end
}

// Subscribe says which topics the member wants, from now on; a change is a round.
// They may be none, and need not exist.
func (m *Member) Subscribe(topics []string) {
	ordered := slices.Compact(slices.Sorted(slices.Values(topics)))
	m.event(func(now time.Time) { m.machine.subscribe(now, ordered) })
}

// PartitionsChanged says that subscribed topics have other partitions than before.
// A round follows unless one has dealt with it already.
func (m *Member) PartitionsChanged() {
	m.event(func(now time.Time) { m.machine.partitionsChanged(now) })
}

// Status is what the member knows of itself. It never waits for a broker.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.machine
	s := Status{
		Joined: k.held >= 0, Member: k.id, Generation: k.held, Leading: k.leading && k.held >= 0,
		Coordinator: k.where.addr, Rebalances: max(k.rounds-1, 0),
		Leases: len(k.leases), Confirmed: k.confirmed, Doubtful: k.doubtful(time.Now()),
	}
	s.Since, s.Err = k.wrong()
	for _, l := range k.leases {
		if l.state == draining {
			s.Draining++
		}
	}
	return s
}

// Confirmed is when the last request was sent that the coordinator answered as to
// a member; zero before the first.
func (m *Member) Confirmed() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.confirmed
}

func (m *Member) doubtful() bool {
	ground := m.ground.Load()
	return ground != nil && elapsed(*ground, time.Now()) > m.cfg.Session
}

// watch returns what is closed with the next event.
func (m *Member) watch() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return m.changed
}
