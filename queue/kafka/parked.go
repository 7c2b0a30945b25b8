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

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
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
	sinks   map[string]*Sink      // by companion, made or verified
	found   map[string]*Sink      // by companion, as it was found
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
	name, err := parkedName(cfg, anyEntryName, anyEntryName)
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
		entries: map[string]queue.Lane{}, sinks: map[string]*Sink{}, found: map[string]*Sink{},
		served: map[*parkedStrand]struct{}{}, told: map[string]bool{},
	}, nil
}

// anyEntryName matches what routes and flushers may be called.
const anyEntryName = `[A-Za-z0-9_-]{1,48}`

// parkedName matches the names of the parked topics of cfg whose route and flusher match
// the expressions: also of entries that the configuration no longer has.
func parkedName(cfg *Config, route, flusher string) (*regexp.Regexp, error) {
	topics := cfg.TopicsRegex
	if topics == "" {
		quoted := make([]string, len(cfg.Topics))
		for i, t := range cfg.Topics {
			quoted[i] = regexp.QuoteMeta(t)
		}
		topics = strings.Join(quoted, "|")
	}
	re, err := regexp.Compile(`^(?P<topic>` + topics + `)` + regexp.QuoteMeta("."+cfg.Group+parkedInfix) +
		`(?P<route>` + route + `)\.(?P<flusher>` + flusher + `)$`)
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
