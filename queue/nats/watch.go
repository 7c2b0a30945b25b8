package nats

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// How often the server is asked about the consumer: closely while something is
// held or odd, so that a recreation is noticed within a second.
const (
	watchClosely = time.Second
	watchIdle    = 5 * time.Second
	stalledAfter = 10 * time.Second
)

// watcher asks the server about the strand's consumer and draws conclusions.
type watcher struct {
	*strand
	pulse    counter   // anything the inbox heard
	flow     counter   // messages
	streamAt time.Time // when the stream was asked last
	silence  int       // questions in a row without an answer
}

// counter notices since when a number stands still.
type counter struct {
	n     int64
	since time.Time
}

func (c *counter) still(n int64, now time.Time) time.Duration {
	if n != c.n || c.since.IsZero() {
		c.n, c.since = n, now
	}
	return now.Sub(c.since)
}

// watch runs until ctx ends, also while the strand drains.
func (s *strand) watch(ctx context.Context) {
	w := &watcher{strand: s}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		changed := s.conn.changed.wait()
		looked := time.Now()
		next := w.look(ctx, looked)
		t.Reset(next)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-s.stir: // something is held from now on
				t.Reset(max(0, min(next, watchClosely)-time.Since(looked)))
				continue
			case <-changed:
			case <-s.kick:
			case <-t.C:
			}
			waiting = false
		}
	}
}

// look is one round; it says when the next is due.
func (w *watcher) look(ctx context.Context, now time.Time) time.Duration {
	line := w.conn.line.number()
	if line == 0 || !w.conn.Connected() {
		w.dropStale(line)
		w.say(queue.StateBrokerAway, "no connection to the server; reconnecting")
		return watchClosely
	}
	w.dropStale(line)
	w.checkPulse(now)
	w.mu.Lock()
	doubts := w.doubts
	w.mu.Unlock()
	// The stream first: what is published between the two answers then counts as
	// pending, not as lost.
	stream := w.askStreamNow(ctx, now)
	info, err := w.conn.askConsumer(ctx, w.consumer)
	if ctx.Err() != nil {
		return watchClosely
	}
	if err != nil {
		return w.trouble(ctx, err)
	}
	w.silence = 0
	if !info.Created.Equal(w.birth.incarnation.consumer) {
		w.lose("the consumer was made anew; what was held comes again from the new one")
		return watchIdle
	}
	w.confirm(ctx, line, doubts)
	w.learn(info, stream)
	w.checkFlow(info, now)
	if w.busy() {
		return watchClosely
	}
	return watchIdle
}

// trouble deals with a question that brought no state.
func (w *watcher) trouble(ctx context.Context, err error) time.Duration {
	switch {
	case Missing(err):
		w.lose("the consumer was deleted")
		return watchIdle
	case Away(err):
		w.say(queue.StateBrokerAway, "JetStream does not answer: "+err.Error())
		if w.silence++; w.silence%3 == 0 {
			w.reviveConnection(ctx)
		}
		return watchClosely / 4
	}
	w.say(queue.StateMisconfigured, err.Error())
	return watchClosely
}

// reviveConnection replaces a connection that does not even answer a ping; a
// half-open one would otherwise live for a minute.
func (w *watcher) reviveConnection(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	if w.conn.nc.FlushWithContext(ctx) == nil || ctx.Err() == nil {
		return
	}
	w.log.Warn("the server does not answer pings, connecting again")
	if err := w.conn.nc.ForceReconnect(); err != nil {
		w.log.Warn("couldn't connect again", zap.Error(err))
	}
}

// dropStale gives up the requests of a connection that is gone.
func (w *watcher) dropStale(line int64) {
	w.mu.Lock()
	stale := w.inbox != nil && w.inbox.line != line
	w.mu.Unlock()
	if stale {
		w.voidPulls("the connection was lost")
	}
}

// checkPulse gives up requests that the server no longer says it has.
func (w *watcher) checkPulse(now time.Time) {
	silent := w.pulse.still(w.heard.Load(), now)
	w.mu.Lock()
	live := len(w.pulls.live) > 0
	young := live && now.Sub(w.pulls.live[len(w.pulls.live)-1].since) < pulseLimit
	overdue := w.pulls.overdue(now, pullLimit)
	w.mu.Unlock()
	switch {
	case !live:
		w.pulse.since = now
	case overdue:
		w.voidPulls("a request did not end in time")
	case silent > pulseLimit && !young:
		w.log.Warn("no sign of life from the consumer, asking again", zap.Duration("silent", silent))
		w.voidPulls("no heartbeat")
	}
}

// checkFlow asks anew when messages wait and requests are open but nothing
// comes, which servers have been seen to do after restarts and elections.
func (w *watcher) checkFlow(info *jetstream.ConsumerInfo, now time.Time) {
	still := w.flow.still(w.delivered.Load(), now)
	w.mu.Lock()
	asked := len(w.pulls.live) > 0 && !w.large.wanted
	w.mu.Unlock()
	if !asked || info.NumPending == 0 || info.Paused || exhausted(info) {
		w.flow.since = now
		return
	}
	if still > stalledAfter {
		w.log.Warn("messages wait but none are delivered, asking again", zap.Uint64("pending", info.NumPending))
		w.flow.since = now
		w.voidPulls("stalled")
	}
}

func exhausted(info *jetstream.ConsumerInfo) bool {
	return info.Config.MaxAckPending > 0 && info.NumAckPending >= info.Config.MaxAckPending && info.NumPending > 0
}

// askStreamNow asks for the stream's state every few seconds; nil in between or
// when it cannot be read.
func (w *watcher) askStreamNow(ctx context.Context, now time.Time) *jetstream.StreamInfo {
	if now.Sub(w.streamAt) < watchIdle-watchClosely/2 {
		return nil
	}
	w.streamAt = now
	info, err := w.conn.askStream(ctx, w.consumer.Stream)
	if err != nil {
		w.log.Debug("couldn't read the stream's state", zap.Error(err))
		return nil
	}
	return info
}

// busy says whether a recreation would hurt or something is odd.
func (w *watcher) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsettled.Load() > 0 || len(w.in) > 0 || w.failures > 0 ||
		w.numbers.Load().state != queue.StateConsuming || w.confirmed.Load() == 0
}

// advisories are the events of the server that concern the strand: what makes
// its incarnation doubtful, and what tells of lost messages.
func (s *strand) advisories() (stop func(), err error) {
	const prefix = "$JS.EVENT.ADVISORY."
	consumer := "." + s.consumer.Stream + "." + s.consumer.Durable
	subjects := map[string]nats.MsgHandler{
		"CONSUMER.CREATED" + consumer:         s.doubt,
		"CONSUMER.DELETED" + consumer:         s.doubt,
		"STREAM.CREATED." + s.consumer.Stream: s.doubt,
		"STREAM.DELETED." + s.consumer.Stream: s.doubt,
		"CONSUMER.MAX_DELIVERIES" + consumer:  func(*nats.Msg) { s.gaveUp.Add(1) },
		"CONSUMER.MSG_TERMINATED" + consumer:  func(*nats.Msg) { s.terminated.Add(1) },
	}
	var subs []*nats.Subscription
	stop = func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // fails only if it is closed
		}
	}
	for subject, handle := range subjects {
		sub, err := s.conn.nc.Subscribe(prefix+subject, handle)
		if err != nil {
			stop()
			return nil, fmt.Errorf("couldn't subscribe to the advisories of %s: %w", strings.TrimPrefix(consumer, "."), err)
		}
		subs = append(subs, sub)
	}
	return stop, nil
}

func (s *strand) doubt(*nats.Msg) { s.shut() }
