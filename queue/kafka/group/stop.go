package group

import (
	"time"

	"github.com/flushline/flushline/queue"
)

// stop ends every lease in order; the member goes when the last one is over. While
// they drain it stays a member like any other, except that it asks for nothing.
func (m *machine) stop(now time.Time, end *queue.End) {
	if m.stopping != nil {
		return
	}
	m.stopping = end
	for _, l := range m.leases {
		if l.state == leased {
			m.drain(l, end)
		}
	}
	if m.rules.leaves && len(m.leases) > 0 && m.handAt.IsZero() && m.held >= 0 {
		m.handAt = now.Add(together) // tells the group that more will come
	}
	m.follow(now)
}

// goHome leaves the group, if there is anything to leave, and ends the machine. A
// first join that is on its way is waited for: the coordinator would keep an id
// that nobody knows for a whole session.
func (m *machine) goHome(now time.Time) {
	if m.leaveBy.IsZero() {
		m.leaveBy = now.Add(farewell)
	}
	unnamed := m.phase == joining && m.id == ""
	if !m.rules.leaves || m.id == "" && !unnamed || m.reached(now, m.leaveBy) {
		m.finish(nil)
		return
	}
	m.seek(now)
	if m.where.addr != "" && !unnamed && !m.leaving {
		m.leaving = true
		m.do(leave{addr: m.where.addr, id: m.id})
	}
}

// left is the answer to leave.
func (m *machine) left(now time.Time, l leave, err error) {
	if m.ended {
		return
	}
	m.leaving = false
	if judge(err) != away {
		m.finish(nil)
		return
	}
	m.astray(now, l.addr, err)
	m.follow(now)
}
