package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Parked is where records wait whose lane is blocked: for each source topic and
// flusher entry the companion <topic>.<group>.parked.<route>.<flusher>. A record goes
// to the companion of the topic that its header x-flushline-source names, and there to
// the partition that the hash of its lane (Message.Subject) says.
//
// Run serves them as the group <group>.parked, each partition in sweeps: see the
// documentation of the type sweep. The methods may be called from any goroutine.
type Parked struct {
	client *wire.Client
	cfg    *Config // of the source
	opt    Options
	log    *zap.Logger
	name   *regexp.Regexp // of our companions; its groups are topic, route and flusher

	// As the sweeps of one Run begin.
	patience int
	swept    func(at wire.TopicPartition, v sweepVerdict)

	opening sync.Mutex // one question to the brokers at a time
	mu      sync.Mutex
	sources []string
	entries map[string]queue.Lane // by Entry
	sinks   map[string]*Sink      // by companion
	served  map[*parkedStrand]struct{}
	told    map[string]bool // entries nobody here knows that were reported
	running *Source         // of Run
}

var _ queue.Parked = (*Parked)(nil)

// failingInARow is how many lanes of a partition may take nothing, one after the
// other, before a sweep ends.
const failingInARow = 8

// parkedGroup is the group that serves parked records.
func parkedGroup(group string) string { return group + ".parked" }

// OpenParked makes the parked companion of a source that cfg describes; opt are the
// options of that source. It asks for the source's topics and changes nothing: see
// Prepare.
func OpenParked(ctx context.Context, client *wire.Client, cfg *Config, opt Options) (*Parked, error) {
	opt.defaults()
	name, err := parkedName(cfg)
	if err != nil {
		return nil, err
	}
	names, err := SourceTopics(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	return &Parked{
		client: client, cfg: cfg, opt: opt, name: name, sources: names, patience: failingInARow,
		log:     opt.Log.With(zap.String("source", opt.Name+"_parked"), zap.String("group", parkedGroup(cfg.Group))),
		entries: map[string]queue.Lane{}, sinks: map[string]*Sink{},
		served: map[*parkedStrand]struct{}{}, told: map[string]bool{},
	}, nil
}

// parkedName matches the names of the parked topics of cfg, of any flusher entry: also
// of those that the configuration no longer has.
func parkedName(cfg *Config) (*regexp.Regexp, error) {
	topics := cfg.TopicsRegex
	if topics == "" {
		quoted := make([]string, len(cfg.Topics))
		for i, t := range cfg.Topics {
			quoted[i] = regexp.QuoteMeta(t)
		}
		topics = strings.Join(quoted, "|")
	}
	const name = `[A-Za-z0-9_-]{1,48}`
	re, err := regexp.Compile(`^(?P<topic>` + topics + `)` + regexp.QuoteMeta("."+cfg.Group+parkedInfix) +
		`(?P<route>` + name + `)\.(?P<flusher>` + name + `)$`)
	if err != nil {
		return nil, fmt.Errorf("topics_regex %q is no regular expression: %w", cfg.TopicsRegex, err)
	}
	return re, nil
}

// parse takes the name of a companion apart.
func (p *Parked) parse(name string) (topic string, entry queue.Lane, ok bool) {
	m := p.name.FindStringSubmatch(name)
	if m == nil {
		return "", entry, false
	}
	return m[p.name.SubexpIndex("topic")],
		queue.Lane{Route: m[p.name.SubexpIndex("route")], Flusher: m[p.name.SubexpIndex("flusher")]}, true
}

// Prepare implements queue.Parked: for each entry and source topic it makes or verifies
// the companion, as DeadLetters does, with as many partitions as the source, and asks
// whether this user may write it. One that would lose records is refused with the
// command that mends it.
//
// Two more rights are asked for, with requests that change nothing: a heartbeat to
// <group>.parked as a member that it does not have, and the deletion of no record in a
// partition that does not exist. Without the first nothing would be served, which is an
// error. Without the second all is served, and what was served stays in the topic: a
// warning in the log.
func (p *Parked) Prepare(ctx context.Context, entries []queue.Lane) error {
	names, err := SourceTopics(ctx, p.client, p.cfg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.sources = names
	p.mu.Unlock()
	if len(entries) > 0 {
		if err := p.mayJoin(ctx); err != nil {
			return err
		}
	}
	for _, e := range entries {
		entry := queue.Lane{Route: e.Route, Flusher: e.Flusher}
		for _, topic := range names {
			var missing *queue.MissingError
			if err := p.prepare(ctx, topic, entry); err != nil && !errors.As(err, &missing) {
				return err
			}
		}
		p.mu.Lock()
		p.entries[entry.Entry()] = entry
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		p.running.kick() // what was made now is served soon
	}
	return nil
}

func (p *Parked) prepare(ctx context.Context, topic string, entry queue.Lane) error {
	sink, err := p.sink(ctx, topic, entry)
	if err != nil {
		return err
	}
	if err := sink.mayDelete(ctx); errors.Is(err, kafkago.TopicAuthorizationFailed) {
		p.log.Warn("what was served cannot be deleted, so it uses disk for ever; if the group's offsets are lost it is served again",
			zap.String("topic", sink.topic), zap.String("mend", grant(p.cfg, "Delete", "topic", sink.topic)))
	}
	return nil
}

// mayJoin asks for the right to serve.
func (p *Parked) mayJoin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cfg := *p.cfg
	cfg.Group = parkedGroup(p.cfg.Group)
	v := &verifier{client: p.client, cfg: &cfg}
	err := atCoordinator(ctx, p.client, cfg.Group, v.member)
	if errors.Is(err, kafkago.GroupAuthorizationFailed) {
		return fmt.Errorf("couldn't serve parked records as group %s: %w; let this user join it (%s), or do without parking: when_blocked: wait",
			cfg.Group, err, v.acl("Read,Describe", "group", cfg.Group))
	}
	if err != nil {
		return fmt.Errorf("couldn't ask for group %s: %w", cfg.Group, err)
	}
	return nil
}

// mayDelete asks for the deletion of nothing in a partition that does not exist:
// brokers look at rights first.
func (s *Sink) mayDelete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	facts := s.known()
	addr := facts.leaders[s.next(facts)]
	if addr == "" {
		return nil // nobody to ask
	}
	at := wire.TopicPartition{Topic: s.topic, Partition: int32(len(facts.leaders))}
	done, err := s.client.DeleteRecords(ctx, addr, []wire.DeleteBefore{{TopicPartition: at}})
	if err == nil {
		err = done[at].Err
	}
	return err
}

// sink is that of one companion, which is made or verified the first time.
func (p *Parked) sink(ctx context.Context, topic string, entry queue.Lane) (*Sink, error) {
	c := parkedCompanion(topic, p.cfg.Group, entry)
	return p.opened(c.name, func() (*Sink, error) { return openCompanion(ctx, p.client, p.cfg, c) })
}

// existing is the sink of a companion that is there.
func (p *Parked) existing(ctx context.Context, name string) (*Sink, error) {
	return p.opened(name, func() (*Sink, error) {
		s := newSink(p.client, name)
		s.cuts, s.by = true, bySubject
		return s, s.open(ctx)
	})
}

func (p *Parked) opened(name string, open func() (*Sink, error)) (*Sink, error) {
	known := func() *Sink {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.sinks[name]
	}
	if s := known(); s != nil {
		return s, nil
	}
	p.opening.Lock()
	defer p.opening.Unlock()
	if s := known(); s != nil {
		return s, nil
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sinks[name] = s
	return s, nil
}

// Describe implements queue.Sink.
func (p *Parked) Describe() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	topic := "TOPIC"
	if len(p.sources) == 1 {
		topic = p.sources[0]
	}
	return "kafka topics " + topic + "." + p.cfg.Group + parkedInfix + "ROUTE.FLUSHER"
}

// Put implements queue.Sink. Companions are written side by side, as dead letters are.
// Records of a lane stay in order. The entry of a record has to be prepared, or its
// companion is made now.
func (p *Parked) Put(ctx context.Context, ms []queue.Message) []error {
	first := p.firstSource()
	errs := putEach(ctx, ms, func(m *queue.Message) string {
		topic, ok := sourceTopic(m)
		if source, _, again := p.parse(topic); ok && again {
			topic = source // it was parked before
		}
		if !ok {
			topic = first
		}
		return topic + " " + m.Subject[:entryOf(m.Subject)]
	}, func(ctx context.Context, place string) (*Sink, error) {
		topic, to, _ := strings.Cut(place, " ")
		route, flusher, ok := strings.Cut(to, ".")
		if !ok {
			return nil, fmt.Errorf("couldn't park a record of topic %s: %q names no lane", topic, to)
		}
		s, err := p.sink(ctx, topic, queue.Lane{Route: route, Flusher: flusher})
		if err != nil {
			return nil, fmt.Errorf("couldn't park a record of topic %s: %w", topic, err)
		}
		return s, nil
	})
	if errs != nil {
		p.forgetMissing(ctx)
	}
	return errs
}

// forgetMissing has companions that were deleted made anew by the next Put.
func (p *Parked) forgetMissing(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerPatience)
	defer cancel()
	p.mu.Lock()
	names := slices.Sorted(maps.Keys(p.sinks))
	p.mu.Unlock()
	cluster, err := p.client.Metadata(ctx, names)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if t, ok := cluster.Topics[name]; !ok || errors.Is(t.Err, kafkago.UnknownTopicOrPartition) {
			delete(p.sinks, name)
		}
	}
}

// entryOf is where route and flusher end in the text of a lane.
func entryOf(lane string) int {
	route := strings.IndexByte(lane, '.')
	if route < 0 {
		return 0
	}
	if n := strings.IndexByte(lane[route+1:], '.'); n >= 0 {
		return route + 1 + n
	}
	return len(lane)
}

func (p *Parked) firstSource() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sources) == 0 {
		return ""
	}
	return p.sources[0]
}

// Look implements queue.Parked: the partitions of the lane's entry that this process
// serves are swept soon, and a sweep that found the lane shut asks again.
func (p *Parked) Look(lane queue.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.served {
		if s.entry.Route == lane.Route && s.entry.Flusher == lane.Flusher {
			s.look(lane)
		}
	}
}

// settings is the configuration of the source that reads the companions.
func (p *Parked) settings() *Config {
	cfg := *p.cfg
	cfg.Group = parkedGroup(cfg.Group)
	cfg.Topics, cfg.TopicsRegex = nil, strings.TrimSuffix(strings.TrimPrefix(p.name.String(), "^"), "$")
	cfg.Start, cfg.OutOfRange = StartEarliest, OutOfRangeEarliest
	cfg.Span = sweepSpan
	cfg.ConnectTimeout = 0
	return &cfg
}

// sweepSpan is how many records a sweep may look at beyond the oldest one that has not
// ended: a bit of memory each.
const sweepSpan = 1 << 24

// Run implements queue.Parked. What ends the serving of parked records is tried again
// until ctx ends, with a line in the log; the live strands know nothing of it.
func (p *Parked) Run(ctx context.Context, h queue.ParkedHost) error {
	for n := 0; ctx.Err() == nil; {
		n = p.try(ctx, h, n)
	}
	return nil
}

// try serves until something ends it, and waits before the next try; it counts those
// that did not last.
func (p *Parked) try(ctx context.Context, h queue.ParkedHost, n int) int {
	began := time.Now()
	err := p.run(ctx, h)
	if ctx.Err() != nil {
		return n // what a stop leaves behind was said where it happened
	}
	if time.Since(began) > longestRetry {
		n = 0
	}
	pause := min(time.Second<<min(n, 6), longestRetry)
	p.log.Error("parked records are not served; tried again", zap.Duration("in", pause), zap.Error(err))
	_ = waitFor(ctx, pause, nil) // whoever calls sees its end
	return n + 1
}

const longestRetry = time.Minute

func (p *Parked) run(ctx context.Context, h queue.ParkedHost) error {
	opt := p.opt
	opt.Name += "_parked"
	src := newSource(p.settings(), opt, p.client)
	d := newDeleter(p, src)
	src.role = role{
		companion: true,
		serve:     func(ctx context.Context, l *group.Lease) { p.lease(ctx, src, h, l) },
		stored:    d.stored,
	}
	if err := src.open(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	p.running = src
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running = nil
	}()
	var deleting sync.WaitGroup
	lasting, stop := context.WithCancel(context.WithoutCancel(ctx)) // for what the last commits let go
	deleting.Go(func() { d.run(lasting) })
	err := src.Run(ctx, h)
	stop()
	deleting.Wait()
	d.last()
	if err == nil && ctx.Err() == nil {
		return errLeft
	}
	return err
}

// enter and leave keep the strands that Look has to reach.
func (p *Parked) enter(s *parkedStrand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[s] = struct{}{}
}

func (p *Parked) leave(s *parkedStrand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.served, s)
}

// unknown reports once that there are records for an entry that nobody here has.
func (p *Parked) unknown(topic, to string) {
	p.mu.Lock()
	was := p.told[to]
	p.told[to] = true
	p.mu.Unlock()
	if was {
		return
	}
	_, entry, _ := strings.Cut(to, "/")
	p.log.Error("records are parked for a route and flusher that this configuration does not have: they stay",
		zap.String("to", to), zap.String("topic", topic),
		zap.String("mend", "put the route back, or move them: flushline parked move --from "+entry+" --to ROUTE/FLUSHER"))
}

// topics are the companions that exist, by name.
func (p *Parked) topics(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cluster, err := p.client.Metadata(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("couldn't ask which parked topics there are: %w", advised(err))
	}
	var names []string
	for name := range cluster.Topics {
		if p.name.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
