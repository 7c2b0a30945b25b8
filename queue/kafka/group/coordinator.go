package group

import "time"

// lookAgain is the most between two lookups of a coordinator that is away: commits wait
// for it, and one lookup is cheap.
const lookAgain = 700 * time.Millisecond

// finder knows where the coordinator is, or when it is looked for next.
type finder struct {
	addr     string // host:port; empty: unknown
	asking   bool
	at       time.Time // not before
	failures int       // since the coordinator last answered
	checkAt  time.Time // when it is looked up though it is known
}

// seek looks the coordinator up: when it is unknown, and now and then during a
// round in which we cannot beat. A join may be open for a minute; without a beat
// beside it nothing would tell that the coordinator has moved meanwhile.
func (m *machine) seek(now time.Time) {
	w := &m.where
	if w.asking || !m.asked {
		return
	}
	if w.addr == "" && (w.at.IsZero() || m.reached(now, w.at)) || w.addr != "" && m.phase != between && !m.beats() && m.reached(now, w.checkAt) {
		w.asking, w.checkAt = true, now.Add(m.rules.session/3)
		m.do(seek{sent: now})
	}
}

// found is the answer to seek.
func (m *machine) found(now, sent time.Time, addr string, err error) {
	w := &m.where
	w.asking = false
	if m.ended {
		return
	}
	m.excuse(sent)
	if err != nil {
		m.trouble(now, err)
		w.failures++
		w.at = now.Add(min(backoff(w.failures), lookAgain))
		if judge(err) == refused && !m.joined {
			m.die(now, err)
		}
		m.follow(now)
		return
	}
	w.addr = addr
	if m.phase != between && m.callAt != addr {
		m.abandonRound(now)
	}
	m.follow(now)
}

// astray notes that a call was not answered by the coordinator at addr. Nothing is
// lost by that: id, generation and leases stay what they are.
func (m *machine) astray(now time.Time, addr string, err error) {
	m.trouble(now, err)
	if w := &m.where; w.addr == addr {
		w.addr = ""
		w.at = now.Add(min(backoff(w.failures), lookAgain))
		w.failures++
	}
}
