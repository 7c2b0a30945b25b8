package faultproxy

import "time"

// pass writes bytes to the other side, through the fault that the way has by then. It
// says whether the link is still there.
func (p *Proxy) pass(l *link, w Way, b []byte) bool {
	changed := false
	for len(b) > 0 {
		if !p.held(l, w, len(b)) {
			return false
		}
		p.mu.Lock()
		f, met := p.faults[w], &p.met[w]
		switch {
		case f.Hold: // again
			p.mu.Unlock()
			continue
		case l.half[w]:
			p.mu.Unlock()
			return true // nobody reads it
		case f.Drop:
			l.lost[w] = true
			met.Dropped += int64(len(b))
			p.mu.Unlock()
			return true
		}
		if f.Change != nil && !changed {
			met.Changed += int64(f.Change(b))
			changed = true
		}
		n, cut := p.quotaLocked(l, w, &f, len(b))
		p.mu.Unlock()
		if _, err := l.end[1-w].Write(b[:n]); err != nil {
			l.reset()
			return false
		}
		p.mu.Lock()
		met.Passed += int64(n)
		l.sent[w] += int64(n)
		if f.Rate > 0 {
			met.Slowed += int64(n)
		}
		p.mu.Unlock()
		if b = b[n:]; cut {
			p.cut(l, w)
			return false
		}
		if f.Rate > 0 && !l.wait(time.Duration(n)*time.Second/time.Duration(f.Rate)) {
			return false
		}
	}
	return true
}

// quotaLocked is how many bytes pass at once, and whether the link is cut behind them.
func (p *Proxy) quotaLocked(l *link, w Way, f *Fault, n int) (int, bool) {
	if l.round[w] != p.round {
		l.round[w], l.sent[w] = p.round, 0
	}
	if f.Rate > 0 {
		n = min(n, max(1, int(int64(f.Rate)*int64(slice)/1e9)))
	}
	if f.CutAfter > 0 && l.sent[w]+int64(n) >= f.CutAfter {
		return int(max(0, f.CutAfter-l.sent[w])), true
	}
	return n, false
}

// held waits while bytes of the way are held back. It says whether the link is still
// there.
func (p *Proxy) held(l *link, w Way, n int) bool {
	for counted := false; ; counted = true {
		p.mu.Lock()
		hold, changed := p.faults[w].Hold, p.changed
		if hold && !counted {
			p.met[w].Held += int64(n)
		}
		p.mu.Unlock()
		if !hold {
			return true
		}
		select {
		case <-changed:
		case <-l.over:
			return false
		}
	}
}

// cut ends a link behind bytes that still arrive: who sent them is reset, who gets them
// reads them and then the end.
func (p *Proxy) cut(l *link, w Way) {
	p.mu.Lock()
	p.met[w].Cut++
	p.dropLocked(l)
	p.mu.Unlock()
	linger(l.end[w])
	closeWrite(l.end[1-w])
	l.close()
}
