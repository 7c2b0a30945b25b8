package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// absence is a strand that has a state and never a message: a topic that is not
// there, or a member that has no partition.
type absence struct {
	info  queue.Info
	log   *zap.Logger
	state atomic.Pointer[queue.Status]
	ctx   context.Context
	end   context.CancelCauseFunc
	done  chan struct{}
	err   error // of Serve; read after done
}

// absent serves a strand without messages.
func (s *Source) absent(ctx context.Context, h queue.Host, name string, st queue.Status) *absence {
	a := &absence{
		info: queue.Info{Source: s.opt.Name, Name: name},
		log:  s.log.With(zap.String("strand", name)),
		done: make(chan struct{}),
	}
	a.say(st)
	a.ctx, a.end = context.WithCancelCause(ctx)
	go func() {
		defer close(a.done)
		a.err = h.Serve(a.ctx, a)
	}()
	return a
}

// say shows why there is nothing to read.
func (a *absence) say(st queue.Status) {
	st.Position, st.Committed, st.End = -1, -1, -1
	before := a.state.Swap(&st)
	if before == nil || before.State != st.State {
		a.log.Warn("strand is now "+st.State, zap.String("why", st.Cause))
	}
}

// over ends the absence and waits for Serve. The error is terminal.
func (a *absence) over(why string) error {
	a.end(&queue.End{Reason: queue.Lost, Why: why})
	<-a.done
	if a.err != nil && !errors.Is(a.err, context.Cause(a.ctx)) {
		return fmt.Errorf("couldn't go on with %s: %w", a.info.Name, a.err)
	}
	return nil
}

// Info implements queue.Strand.
func (a *absence) Info() queue.Info { return a.info }

// Status implements queue.Strand.
func (a *absence) Status() queue.Status { return *a.state.Load() }

// Fetch implements queue.Strand: there is nothing to wait for but the end.
func (a *absence) Fetch(ctx context.Context, _ queue.Room) ([]*queue.Delivery, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-a.ctx.Done():
		return nil, context.Cause(a.ctx)
	}
}

// absences are the strands without messages that are served now, by name. Only the
// watch touches them.
type absences struct {
	src  *Source
	host queue.Host
	live map[string]*absence
}

// show serves what is wanted, shows its state, and ends the rest.
func (x *absences) show(ctx context.Context, want map[string]queue.Status) error {
	for name, st := range want {
		if a := x.live[name]; a != nil {
			a.say(st)
		} else {
			x.live[name] = x.src.absent(ctx, x.host, name, st)
		}
	}
	var errs []error
	for name, a := range x.live {
		if _, still := want[name]; !still {
			errs = append(errs, a.over(name+" can be read"))
			delete(x.live, name)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, x.over("the source stops"))
	}
	return nil
}

// over ends all of them.
func (x *absences) over(why string) error {
	var errs []error
	for _, a := range x.live {
		errs = append(errs, a.over(why))
	}
	x.live = nil
	return errors.Join(errs...)
}

// What has to last before it is worth a strand: a first join takes a moment.
const (
	missingAfter = 2 * time.Second
	vacantAfter  = 5 * time.Second
)

// wanted lists the absences to show.
func (s *Source) absentees(now time.Time) map[string]queue.Status {
	want, served := map[string]queue.Status{}, map[string]bool{}
	if s.role.companion {
		return want
	}
	for _, st := range s.served() {
		served[st.Topic] = true // its own status says that the topic is away
	}
	for name, a := range s.atlas.missing() {
		if now.Sub(a.since) >= missingAfter && !served[name] {
			want[name] = missingTopic(name, a.err)
		}
	}
	if s.atlas.pattern != nil && len(s.atlas.subscription()) == 0 {
		want[s.cfg.TopicsRegex] = queue.Status{
			State: queue.StateTopicMissing,
			Cause: fmt.Sprintf("no topic matches topics_regex %q; one is read as soon as it exists", s.cfg.TopicsRegex),
		}
	}
	if since := s.vacantSince(); len(want) == 0 && !since.IsZero() && now.Sub(since) >= vacantAfter {
		want["group "+s.cfg.Group] = s.vacancy()
	}
	return want
}

func missingTopic(name string, err error) queue.Status {
	if errors.Is(err, kafkago.TopicAuthorizationFailed) {
		return queue.Status{
			State: queue.StateRefused,
			Cause: fmt.Sprintf("the brokers do not let us read topic %s: grant READ and DESCRIBE on it", name),
		}
	}
	st := queue.Status{
		State: queue.StateTopicMissing,
		Cause: fmt.Sprintf("topic %s does not exist: create it, for example with flushline setup; it is read as soon as it is there", name),
	}
	if err != nil && !errors.Is(err, kafkago.UnknownTopicOrPartition) {
		st.Cause = fmt.Sprintf("topic %s cannot be read: %v", name, err)
	}
	return st
}

// vacancy is the state of a member without partitions.
func (s *Source) vacancy() queue.Status {
	g := s.member.Status()
	if g.Joined {
		return queue.Status{
			State: queue.StateConsuming,
			Cause: fmt.Sprintf("member of group %s without a partition: there are as many members as partitions of %s",
				s.cfg.Group, strings.Join(slices.Sorted(slices.Values(s.atlas.subscription())), ", ")),
		}
	}
	st := queue.Status{State: queue.StateJoining, Cause: "joins group " + s.cfg.Group}
	if g.Err != nil {
		st.State, st.Cause = queue.StateBrokerAway, fmt.Sprintf("cannot join group %s: %v", s.cfg.Group, g.Err)
	}
	return st
}
