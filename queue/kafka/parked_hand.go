package kafka

import "github.com/flushline/flushline/queue"

// hear takes in what happened to records that were handed out, and which gates opened.
func (v *serving) hear() {
	events, lanes := v.at.heard()
	for _, e := range events {
		r := e.record
		switch {
		case r.serving != v: // of a sweep whose topic is gone
			if e.what == parkedRefused {
				r.forget()
			}
		case e.what == parkedTaken:
			v.plan.took(r.lane)
		case e.what == parkedRefused:
			v.cost += r.cost
			v.plan.refused(r.lane, r)
		default: // released: the strand ends, and the record stays
		}
	}
	for _, lane := range lanes {
		v.plan.opened(lane.String())
	}
}

// handOut gives the worker what it has room for.
func (v *serving) handOut() {
	room, ok := v.at.demand()
	if !ok {
		return
	}
	var out []*queue.Delivery
	for bytes := int64(0); len(out) < room.Messages && (len(out) == 0 || bytes < room.Bytes); {
		_, r, ok := v.plan.next(v.gate)
		if !ok {
			break
		}
		bytes += r.cost
		v.cost -= r.cost
		out = append(out, r.handOut())
	}
	v.at.offer(out)
}

// gate asks the worker; it is never asked about records for somebody else.
func (v *serving) gate(l *sweepLane[*parkedRecord]) queue.Gate {
	g := queue.GateUnknown
	if l.lane.Route != "" {
		g = v.at.host.Gate(l.lane)
	}
	if g == queue.GateUnknown {
		v.at.parked.unknown(v.at.Topic, v.to(l))
	}
	return g
}

func (v *serving) to(l *sweepLane[*parkedRecord]) string {
	if l.lane.Route == "" {
		return l.name
	}
	return v.at.parked.cfg.Group + "/" + l.lane.Entry()
}
