package worker

import "github.com/flushline/flushline/protocol"

// knownMost is of how many groups a lane remembers what it thought when it parked them.
const knownMost = 64

// rememberLocked keeps what is thought of a group that is parked, and of each of those
// that hung together: they come again as records of their own.
func (l *lane) rememberLocked(b *batch) {
	d := b.doubt
	switch {
	case len(b.parts) == 1 && (d.failures > 0 || d.hangs > 0):
	case d.hangs > 0:
		d = d.single()
	default:
		return
	}
	for _, p := range b.parts {
		if p.open() {
			l.noteLocked(p.id(), d)
		}
	}
}

func (l *lane) noteLocked(id protocol.ID, d doubt) {
	if len(l.known) >= knownMost {
		for other := range l.known { // any
			delete(l.known, other)
			break
		}
	}
	if l.known == nil {
		l.known = map[protocol.ID]doubt{}
	}
	l.known[id] = d
}

// recallLocked is what was thought of a group when it was parked.
func (l *lane) recallLocked(p *part) (d doubt, ok bool) {
	if len(l.known) == 0 {
		return d, false
	}
	d, ok = l.known[p.id()]
	return d, ok
}

// refusesLocked says that a parked record is not tried now: it hung before.
func (l *lane) refusesLocked(p *part) bool {
	d, ok := l.recallLocked(p)
	return ok && l.risksLocked(&d)
}

// blocksWayLocked says that a parked record has failed again and again while other lanes
// delivered, so that what is parked behind it may have to wait for it: it is put behind
// them.
func (l *lane) blocksWayLocked(b *batch) bool {
	if len(b.parts) != 1 || !b.served() || b.doubt.strays < straysToHalve {
		return false
	}
	b.doubt.strays = 0
	return true
}
