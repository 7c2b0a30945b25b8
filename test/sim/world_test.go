package sim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// half is a queue that worlds are made of. Its methods are called inside of a bubble;
// what it sees of acknowledgements it tells the world's book.
type half interface {
	kinds() []string         // faults of its own
	cleanKinds() []string    // those of them after which nothing comes again
	patience() time.Duration // after which a worker that is silent loses what it holds: ack wait, session

	begin(w *world)                               // draws its settings with dice of its own and starts the broker
	connect(p *pod) (*connection, error)          // as a process of the deployment does at its start
	cutOff(p *pod)                                // nothing reaches the pod or comes from it any more
	publish(m *message) (place string, err error) // an error: it may be stored or not
	fault(f *fault)                               // from its begin to its end
	heal()                                        // all that may still be broken is mended
	handouts(scheduled int) int                   // how often a message may be handed out, if the schedule says so much
	idle() (settled bool, why string)             // whether the broker has nothing left to deliver or to hear
	stored() ([]queue.Message, error)             // the dead letters
	end()                                         // when all pods have ended
}

// world is one simulated deployment.
type world struct {
	*testing.T
	seed  uint64
	half  half
	mood  mood
	lasts time.Duration

	config       worker.Config
	destinations map[string]*destination
	faults       []*fault
	slots        []*slot
	messages     []*message
	times        []time.Duration // when each is published, after the one before
	book         *book

	ctx        context.Context // ends when the world does
	well       atomic.Bool
	letters    atomic.Int32
	letterGate gate
	pods       atomic.Int64
	looks      atomic.Int64
	began      time.Time
	graves     sync.WaitGroup // what winds up beside the world

	mu    sync.Mutex
	every []*pod
	seen  map[string]int
	log   []string
}

// mood is what kind of faults a world has. In all but the first nothing may be
// handed out twice.
type mood string

const (
	wild  mood = "wild"  // all there are
	clean mood = "clean" // workers stop and reload, and every stop has the time it needs
	held  mood = "held"  // nobody stops; destinations hang, the dead letter queue fails
	alone mood = "alone" // the same with one worker, whose network and broker fail as well
)

// survivor is a half whose faults, these ones, make nobody deliver a message again as
// long as there is one worker and it lives. Where members join and leave a group even
// that is not so: those halves have no world but the wild and the clean ones.
type survivor interface{ survived() []string }

func moodOf(h half, seed uint64) mood {
	m := []mood{clean, wild, held, wild, clean, wild, alone, wild}[seed%8]
	if _, is := h.(survivor); !is && m != clean {
		return wild
	}
	return m
}

const deployment = "flushline"

// newWorld draws everything; nothing is started.
func newWorld(t *testing.T, h half, seed uint64) *world {
	d := throw(seed, "world")
	w := &world{
		T: t, seed: seed, half: h, mood: moodOf(h, seed), lasts: d.within(20*time.Second, 90*time.Second),
		destinations: map[string]*destination{}, seen: map[string]int{},
	}
	w.book = newBook(func(entry, group, reason string) bool { return w.destinations[entry].dooms(group, reason) })
	for _, name := range append([]string{extraEntry}, entries...) {
		w.destinations[name] = newDestination(w, d, name)
	}
	w.config = worker.Config{
		Deployment: deployment, Host: "sim", Drain: d.within(500*time.Millisecond, 8*time.Second),
		DeadLetter: worker.DeadLetter{StopAfter: 1 << 30},
		Limits: worker.Limits{
			InFlight: pick(d, int64(64<<10), 256<<10, 10<<20), Work: pick(d, int64(64<<10), 200<<10, 8<<20),
			Window: pick(d, 4, 30, 1000), Lanes: pick(d, 3, 8, 100), LaneIdle: pick(d, 10*time.Second, time.Minute),
		},
	}
	if w.mood == clean {
		w.config.Drain = 30 * time.Second
	}
	slots := d.between(1, 3)
	if w.mood == alone {
		slots = 1
	}
	for i := range slots {
		w.slots = append(w.slots, &slot{w: w, index: i, orders: make(chan order)})
	}
	w.schedule(d)
	n := d.between(20, 120)
	for i := range n {
		w.messages = append(w.messages, newMessage(t, d, i))
		pause := time.Duration(0)
		if d.one(3) {
			pause = d.within(0, 6*w.lasts/time.Duration(n))
		}
		w.times = append(w.times, pause)
	}
	return w
}

// run is the world from its begin to the verdict.
func (w *world) run() {
	ctx, over := context.WithCancel(context.Background())
	defer over()
	w.ctx, w.began = ctx, time.Now()
	w.half.begin(w)
	var living, busy, eyes sync.WaitGroup
	for _, s := range w.slots {
		living.Go(s.live)
	}
	eyes.Go(w.observe)
	busy.Go(w.publish)
	for _, f := range w.faults {
		busy.Go(func() { w.strike(f) })
	}
	busy.Wait()
	w.well.Store(true)
	w.half.heal()
	w.logf("all is well")
	w.await(2*w.half.patience() + settleWithin)
	over()
	living.Wait()
	eyes.Wait()
	w.graves.Wait()
	time.Sleep(time.Minute) // what was given up returns
	w.judge()
	w.half.end()
}

// settleWithin is, beside twice the broker's patience, how long a deployment may take to
// deliver what is left once all is well: the longest that a lane waits by itself is 30 s
// for a destination that said that it was set up wrongly.
const settleWithin = 2 * time.Minute

// await waits until all is settled.
func (w *world) await(limit time.Duration) {
	healed := time.Now()
	for {
		missing := w.book.missing()
		settled, why := w.half.idle()
		took := time.Since(healed)
		if len(missing) == 0 && settled {
			w.logf("settled after %v", took)
			return
		}
		if took > limit {
			w.book.violate("not settled %v after all was well: %d parts are missing, such as %.5q; the broker says: %s; %s",
				took, len(missing), missing, why, w.status())
			return
		}
		time.Sleep(time.Second)
	}
}

// status is what the running pods say of what does not move.
func (w *world) status() string {
	var all []string
	for _, s := range w.slots {
		if p := s.pod.Load(); p != nil {
			all = append(all, p.status())
		}
	}
	return strings.Join(all, "\n")
}

func (w *world) judge() {
	w.mu.Lock()
	every := w.every
	w.mu.Unlock()
	for _, p := range every {
		p.look()
		p.rest()
	}
	most := 1
	for _, f := range w.faults {
		if w.mood == wild {
			most += f.again()
		}
	}
	most = w.half.handouts(most)
	if n, times := w.book.mostHandouts(); times > most {
		w.book.violate("message %d was handed out %d times, and %d may be", n, times, most)
	}
	if n := w.book.sum().Duplicates; n > 0 && w.mood != wild {
		w.book.violate("%d duplicates although nothing happened that may repeat a message", n)
	}
	ms, err := w.half.stored()
	if err != nil {
		w.book.violate("the dead letters cannot be read: %v", err)
		return
	}
	w.book.compare(ms)
}

func (w *world) publish() {
	for i, m := range w.messages {
		time.Sleep(w.times[i])
		w.book.tried(m)
		place, err := w.half.publish(m)
		if err != nil {
			w.logf("message %d: %v", m.number, err)
			w.saw("publish-unconfirmed")
			continue
		}
		w.book.confirmed(m.number, place)
	}
}

// observe looks at every pod that lives, all the time.
func (w *world) observe() {
	for w.ctx.Err() == nil {
		for _, s := range w.slots {
			if p := s.pod.Load(); p != nil {
				p.look()
			}
		}
		w.nap(700 * time.Millisecond)
	}
}

// nap lasts d, or until the world is over.
func (w *world) nap(d time.Duration) { _ = sleep(w.ctx, d) }

func (w *world) keep(p *pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.every = append(w.every, p)
}

// saw counts a fault that happened.
func (w *world) saw(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[kind]++
}

// logf keeps what happened, for the case that it has to be read.
func (w *world) logf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%10.3f  ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}
