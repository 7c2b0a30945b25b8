package nats

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// start serves the lanes whose turn it is.
func (r *parkedRun) start(ctx context.Context) {
	if !r.dirty || ctx.Err() != nil {
		return
	}
	r.dirty = false
	open, probes := r.ready(ctx, time.Now())
	room := lanesAtOnce - r.served
	r.sortByAge(ctx, open, len(open) > room)
	for _, l := range open[:min(len(open), room)] {
		r.begin(ctx, l, false)
	}
	room = min(probesAtOnce-r.probes, lanesAtOnce-r.served)
	r.sortByAge(ctx, probes, len(probes) > room)
	slices.SortStableFunc(probes, func(a, b *parkedLane) int { return a.tried.Compare(b.tried) })
	for _, l := range probes[:max(0, min(len(probes), room))] {
		r.begin(ctx, l, true)
	}
}

// ready asks the gates of the lanes that are not served.
func (r *parkedRun) ready(ctx context.Context, now time.Time) (open, probes []*parkedLane) {
	strangers := map[string]int{}
	for _, l := range r.lanes {
		if l.side != nil || l.count == 0 || now.Before(l.wait) {
			if now.Before(l.wait) {
				r.dirty = true
			}
			continue
		}
		known := r.backlog.peek(l.suffix)
		if !known.ok {
			var err error
			if known, err = r.backlog.first(ctx, l.suffix); err != nil {
				l.wait = now.Add(scanEvery)
				continue
			}
			if !known.ok {
				strangers[l.suffix]++
				continue
			}
		}
		l.lane = known.lane
		switch r.host.Gate(l.lane) {
		case queue.GateUnknown:
			strangers[l.lane.Entry()]++
		case queue.GateShut:
		case queue.GateProbe:
			probes = append(probes, l)
		case queue.GateOpen:
			open = append(open, l)
		}
	}
	r.tellStrangers(strangers)
	return open, probes
}

// tellStrangers reports each entry that the deployment does not have once.
func (r *parkedRun) tellStrangers(lanes map[string]int) {
	for entry := range r.unknown {
		if lanes[entry] == 0 {
			delete(r.unknown, entry)
		}
	}
	for entry, n := range lanes {
		if r.unknown[entry] {
			continue
		}
		r.unknown[entry] = true
		r.log.Warn("records are parked for a route and flusher that this configuration does not have; they stay",
			zap.String("entry", entry), zap.Int("lanes", n), zap.String("companion", r.sink.stream),
			zap.String("mend", "give the entry its name back, or flushline parked move"))
	}
}

// agesAtOnce bounds how many records are read to find out which lane is the oldest.
const agesAtOnce = 256

// sortByAge puts the lanes that wait the longest first. Lanes of unknown age come
// last; if that matters, some of them are asked.
func (r *parkedRun) sortByAge(ctx context.Context, lanes []*parkedLane, matters bool) {
	ages := make(map[*parkedLane]time.Time, len(lanes))
	asked := 0
	for _, l := range lanes {
		o := r.backlog.peek(l.suffix)
		if !o.read && matters && asked < agesAtOnce {
			asked++
			if read, err := r.backlog.first(ctx, l.suffix); err == nil {
				o = read
			}
		}
		if ages[l] = time.Unix(1<<40, 0); o.read {
			ages[l] = o.at
		}
	}
	slices.SortFunc(lanes, func(a, b *parkedLane) int {
		return cmp.Or(ages[a].Compare(ages[b]), cmp.Compare(a.suffix, b.suffix))
	})
}

// begin serves a lane on a goroutine of its own.
func (r *parkedRun) begin(ctx context.Context, l *parkedLane, probe bool) {
	r.served++
	if probe {
		r.probes++
	}
	ctx, end := context.WithCancelCause(ctx)
	l.end, l.probe, l.closing = end, probe, false
	l.side = &side{name: l.suffix, companion: r.Parked}
	l.side.probing.Store(probe)
	lane, spare := l.side, r.consumers < r.most
	go func() {
		defer end(nil)
		l.err = r.serve(ctx, l.one, lane, !probe, spare)
		if end := context.Cause(ctx); l.err != nil && end != nil {
			l.err = nil // what failed while it ended does not matter
		}
		r.ended <- l
	}()
}

// serve serves a lane until its strand ends.
func (r *parkedRun) serve(ctx context.Context, one Consumer, lane *side, open, spare bool) error {
	first, err := r.backlog.first(ctx, lane.name)
	if err != nil {
		return err
	}
	lane.size = first.size
	b, err := r.openDurable(ctx, one, open, spare)
	if err != nil {
		return err
	}
	if err := r.source.live(ctx, r.host, one, b, lane); err != nil {
		return err
	}
	if lane.empty.Load() {
		return r.retire(context.WithoutCancel(ctx), one)
	}
	return nil
}
