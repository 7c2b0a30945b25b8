package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/pipenet"
)

// TestKafka simulates deployments on a Kafka cluster in memory (kfake).
//
// FLUSHLINE_SIM_SEEDS says how many, FLUSHLINE_SIM_SEED repeats one.
func TestKafka(t *testing.T) {
	s := simulation{
		name: "kafka", test: t.Name(),
		shows: "Simulated deployments on Kafka, with seeded faults of network, brokers, coordinator, workers and destinations, lose nothing, commit nothing early or without owning it, never move a commit back, and settle in time.",
		half:  newKafkaHalf,
		musts: kafkaMusts,
	}
	s.run(t)
}

// kafkaSession is the shortest that brokers allow, so that the world sees it pass often.
const kafkaSession = 6 * time.Second

// kafkaHalf is a cluster in this process and everybody's way to it.
type kafkaHalf struct {
	w       *world
	cfg     kafka.Config
	static  bool // members keep their names over restarts
	cluster *cluster
	commits *commits

	mu     sync.Mutex
	hosts  map[*pod]*pipenet.Host
	serves map[int32]int // leases that were served, by partition
}

func newKafkaHalf(*testing.T) half {
	return &kafkaHalf{hosts: map[*pod]*pipenet.Host{}, serves: map[int32]int{}}
}

func (h *kafkaHalf) patience() time.Duration { return kafkaSession }

func (h *kafkaHalf) begin(w *world) {
	h.w = w
	d := throw(w.seed, "kafka")
	h.cluster = newCluster(w, d)
	h.cfg = kafka.DefaultConfig()
	c := &h.cfg
	c.Brokers, c.Topics, c.Group = h.cluster.ListenAddrs(), []string{kafkaTopic}, kafkaGroup
	c.Session, c.Rebalance, c.Heartbeat = kafkaSession, 2*kafkaSession, d.within(300*time.Millisecond, 2*time.Second)
	c.Commit.Every, c.Commit.Messages = d.within(50*time.Millisecond, time.Second), pick(d, 5, 10_000)
	c.Span, c.ConnectTimeout = pick(d, 10, 100, 20_000), 20*time.Second
	h.static = d.one(3)
	if w.mood == clean { // what is blocked, or waits for room, when its partition moves is given back and comes again
		w.config.Limits.Lanes, w.config.Limits.InFlight = 100, 10<<20
		for _, t := range w.destinations {
			t.calm = true
		}
	}
	h.commits = watchCommits(w.book, h.cluster, h.static)
	w.graves.Go(func() { h.commits.follow(w.ctx) })
	g := watchGhosts(h.cluster)
	w.graves.Go(func() { g.lay(w.ctx) })
}

func (h *kafkaHalf) connect(p *pod) (*connection, error) {
	host := h.cluster.net.Host()
	cfg := h.cfg
	cfg.ClientID = fmt.Sprint("pod-", p.number)
	if h.static {
		cfg.InstanceID = fmt.Sprint("slot-", p.slot)
	}
	ctx := context.Background()
	src, err := kafka.Open(ctx, &cfg, kafka.Options{
		Window: p.w.config.Limits.Window, Drain: p.w.config.Drain, Dial: host.DialContext,
	})
	if err != nil {
		return nil, err
	}
	sink, err := kafka.DeadLetters(ctx, src.Client(), &cfg)
	if err != nil {
		src.Close()
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts[p] = host
	return &connection{source: &serving{src, h.serve}, sink: sink, close: src.Close}, nil
}

func (h *kafkaHalf) hostOf(p *pod) *pipenet.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hosts[p]
}

func (h *kafkaHalf) cutOff(p *pod) { h.hostOf(p).Kill() }

func (h *kafkaHalf) publish(m *message) (string, error) {
	p := int32(throw(h.w.seed, "partition", fmt.Sprint(m.number)).n(int(h.cluster.partitions())))
	position, err := h.cluster.produce(context.Background(), p, &m.Message)
	if err != nil {
		return "", err
	}
	return place(p, position), nil
}

// idle says whether all that is in the log is committed.
func (h *kafkaHalf) idle() (bool, string) {
	committed := map[int32]int64{}
	if g := h.cluster.GroupInfo(kafkaGroup); g != nil {
		for p, c := range g.Commits[kafkaTopic] {
			committed[p] = c.Offset
		}
	}
	for _, p := range h.cluster.PartitionInfos(kafkaTopic) {
		if committed[p.Partition] < p.HighWatermark {
			return false, fmt.Sprintf("partition %d is committed up to %d of %d", p.Partition, committed[p.Partition], p.HighWatermark)
		}
	}
	return true, "all is committed"
}

// handouts is one for each lease of a partition: how many a fault makes depends on who
// joins when.
func (h *kafkaHalf) handouts(scheduled int) int {
	if h.w.mood == clean {
		return scheduled
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	most := 1
	for _, n := range h.serves {
		most = max(most, n)
	}
	return most
}

func (h *kafkaHalf) stored() ([]queue.Message, error) { return h.cluster.read(kafkaLetters) }

func (h *kafkaHalf) end() { h.cluster.stop() }

// serve counts the leases that are served, and those that end while they hold messages.
func (h *kafkaHalf) serve(ctx context.Context, to queue.Host, s queue.Strand) error {
	var p int32
	if _, err := fmt.Sscanf(s.Info().Name, kafkaTopic+"[%d]", &p); err != nil {
		return to.Serve(ctx, s) // says what is missing, and hands out nothing
	}
	h.mu.Lock()
	h.serves[p]++
	h.mu.Unlock()
	defer context.AfterFunc(ctx, func() { h.leaseEnds(ctx, s) })()
	return to.Serve(ctx, s)
}

// leaseEnds counts a lease that ends while it holds messages.
func (h *kafkaHalf) leaseEnds(ctx context.Context, s queue.Strand) {
	var end *queue.End
	if !errors.As(context.Cause(ctx), &end) || s.Status().Unsettled == 0 {
		return
	}
	switch end.Reason {
	case queue.Revoked:
		h.w.saw(kafkaMoved)
	case queue.Lost:
		h.w.saw(kafkaLost)
	}
}
