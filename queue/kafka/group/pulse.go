package group

import "time"

// pulse is when to beat.
type pulse struct {
	under bool      // a beat is on its way
	at    time.Time // the next one
	quick time.Time // since when a second round is to come; zero: none is
}

// begin follows a completed round.
func (p *pulse) begin(now time.Time, more bool) {
	p.at, p.quick = now, time.Time{}
	if more {
		p.quick = now
	}
}

// every is the time between two beats. While a second round is to come they follow
// each other quickly, so that it begins for all at once when a partition is free;
// slower as the drain takes longer, so that a long one costs the coordinator little
// and is prolonged by a tenth at most.
func (p *pulse) every(now time.Time, normal time.Duration) time.Duration {
	if p.quick.IsZero() {
		return normal
	}
	return min(max(quickBeat, now.Sub(p.quick)/10), normal)
}

// beats says whether there is anything to keep alive.
func (m *machine) beats() bool { return m.id != "" && m.gen >= 0 }

// beat sends a sign of life when one is due, whatever else goes on.
func (m *machine) beat(now time.Time) {
	p := &m.pulse
	if p.under || !m.beats() || m.where.addr == "" || !m.reached(now, p.at) {
		return
	}
	p.under = true
	m.do(beat{addr: m.where.addr, id: m.id, gen: m.gen, sent: now})
}

// beaten is the answer to beat.
func (m *machine) beaten(now time.Time, b beat, err error) {
	p := &m.pulse
	p.under = false
	p.at = b.sent.Add(p.every(now, m.rules.heartbeat))
	if m.ended {
		return
	}
	if judge(err) == away {
		m.excuse(b.sent)
		m.astray(now, b.addr, err)
		p.at = now
	} else {
		m.answered(now, b.id, b.gen, b.sent, err)
	}
	m.follow(now)
}

// answered draws the conclusions from what the coordinator said to a member in a
// generation, in answer to a beat or a commit.
func (m *machine) answered(now time.Time, id string, gen int32, sent time.Time, err error) {
	v := judge(err)
	if m.ended || id != m.id || gen != m.gen {
		return // about the past
	}
	if v == fine || v == inRound {
		m.confirm(sent)
	}
	if v == fine && sent.Sub(m.roundAt) >= restless {
		m.spoilt = 0
	}
	if v == usurped && m.fencedOut() {
		m.die(now, err)
		return
	}
	if m.phase != between {
		return // the open round will say
	}
	switch v {
	case inRound:
		m.spoil(now)
	case oldGeneration:
		m.loseAll(now, err)
		m.spoil(now)
	case unknown:
		m.loseAll(now, err)
		m.dropID()
		m.spoil(now)
	case refused, needsID:
		m.trouble(now, err)
	}
}
