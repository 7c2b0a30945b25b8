package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

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
	p.mu.Lock()
	for _, e := range entries {
		p.entries[e.Entry()] = queue.Lane{Route: e.Route, Flusher: e.Flusher}
	}
	p.mu.Unlock()
	for _, topic := range names {
		var missing *queue.MissingError
		if err := p.Open(ctx, topic); err != nil && !errors.As(err, &missing) {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		p.running.kick() // what was made now is served soon
	}
	return nil
}

// Open makes sure of the companions of one topic, of every entry that was given to
// Prepare. It asks the brokers only the first time. The error is a *MissingError while
// the topic itself does not exist. A topic that appears later needs it before its first
// message is fetched.
func (p *Parked) Open(ctx context.Context, topic string) error {
	p.mu.Lock()
	entries := slices.Collect(maps.Values(p.entries))
	p.mu.Unlock()
	for _, entry := range entries {
		if err := p.prepare(ctx, topic, entry); err != nil {
			return err
		}
	}
	return nil
}

func (p *Parked) prepare(ctx context.Context, topic string, entry queue.Lane) error {
	if p.known(parkedCompanion(topic, p.cfg.Group, entry).name) {
		return nil
	}
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

func (p *Parked) known(companion string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sinks[companion] != nil
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
	return p.opened(p.sinks, c.name, func() (*Sink, error) { return openCompanion(ctx, p.client, p.cfg, c) })
}

// existing is the sink of a companion that is there.
func (p *Parked) existing(ctx context.Context, name string) (*Sink, error) {
	return p.opened(p.found, name, func() (*Sink, error) {
		s := newSink(p.client, name)
		s.cuts, s.by = true, bySubject
		return s, s.open(ctx)
	})
}

func (p *Parked) opened(sinks map[string]*Sink, name string, open func() (*Sink, error)) (*Sink, error) {
	known := func() *Sink {
		p.mu.Lock()
		defer p.mu.Unlock()
		return sinks[name]
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
	sinks[name] = s
	return s, nil
}
