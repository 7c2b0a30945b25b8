package worker

import (
	"sync"
	"sync/atomic"
)

// What a running Flush costs beside its decoded groups. It bounds how many calls run
// at once.
const (
	callBytes = 16 << 10 // a stack, a request, its share of a connection
	joinBytes = 4 << 10  // of a kind that Joins: a stack; what it waits for is shared
)

func (v *version) callBytes() int64 {
	if v.Kind.Joins {
		return joinBytes
	}
	return callBytes
}

// workPool is the budget for decoded data inside Flush. A flusher entry may start
// a Flush only while what it holds is below what is free, so a dead destination
// holds at most half and n of them leave 1/(n+1). Taking never waits: a lane that
// gets nothing stands in line and is scheduled again.
type workPool struct {
	limit int64
	free  atomic.Int64
	line  atomic.Int32

	mu       sync.Mutex
	entries  []*entry // with lanes in line; served in turn
	oversize bool     // one batch larger than half the pool runs beside it
}

func newWorkPool(limit int64) *workPool {
	p := &workPool{limit: limit}
	p.free.Store(limit)
	return p
}

// take reserves need bytes for a lane of e. turn: the lane's turn in the line has
// come, so it passes those who wait.
func (p *workPool) take(e *entry, need int64, turn bool) bool {
	if p.line.Load() != 0 && !turn {
		return false
	}
	if !p.isOversize(need) {
		return p.tryTake(e, need)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tryTakeLocked(e, need)
}

// enter puts a lane in line, at the head if its turn had come and the bytes were
// not there. If the bytes came free meanwhile, somebody's turn comes at once.
func (p *workPool) enter(l *lane, need int64, first bool, schedule func([]*lane)) {
	e := l.entry
	p.mu.Lock()
	l.workNeed = need
	if len(e.inLine) == 0 {
		p.entries = append(p.entries, e)
	}
	if first {
		e.inLine = append([]*lane{l}, e.inLine...)
	} else {
		e.inLine = append(e.inLine, l)
	}
	p.line.Add(1)
	turns := p.turnsLocked()
	p.mu.Unlock()
	schedule(turns)
}

// pass hands on a turn that was not used.
func (p *workPool) pass(schedule func([]*lane)) {
	p.mu.Lock()
	turns := p.turnsLocked()
	p.mu.Unlock()
	schedule(turns)
}

func (p *workPool) tryTake(e *entry, need int64) bool {
	if p.isOversize(need) {
		return false
	}
	free := p.free.Add(-need)
	if free >= 0 && e.work.Load() <= free+need {
		e.work.Add(need)
		return true
	}
	p.free.Add(need)
	return false
}

func (p *workPool) isOversize(need int64) bool { return need > p.limit/2 }

func (p *workPool) tryTakeLocked(e *entry, need int64) bool {
	if !p.isOversize(need) {
		return p.tryTake(e, need)
	}
	if p.oversize {
		return false
	}
	p.oversize = true
	e.work.Add(need)
	return true
}

// give returns what take reserved and schedules lanes in line that fit now.
func (p *workPool) give(e *entry, need int64, schedule func([]*lane)) {
	e.work.Add(-need)
	if !p.isOversize(need) {
		p.free.Add(need)
		if p.line.Load() == 0 {
			return
		}
	}
	p.mu.Lock()
	if p.isOversize(need) {
		p.oversize = false
	}
	turns := p.turnsLocked()
	p.mu.Unlock()
	schedule(turns)
}

// turnsLocked takes from the line the lanes that fit, an entry at a time.
func (p *workPool) turnsLocked() []*lane {
	var turns []*lane
	budget := p.free.Load()
	for passed := 0; passed < len(p.entries); {
		e := p.entries[0]
		l := e.inLine[0]
		fits := l.workNeed <= budget && e.work.Load() <= budget
		if p.isOversize(l.workNeed) {
			fits = !p.oversize
		}
		p.entries = append(p.entries[1:], e)
		if !fits {
			passed++
			continue
		}
		passed = 0
		budget -= l.workNeed
		e.inLine = e.inLine[1:]
		p.line.Add(-1)
		if len(e.inLine) == 0 {
			p.entries = p.entries[:len(p.entries)-1]
		}
		l.workTurn = true
		turns = append(turns, l)
		if len(turns) == 64 {
			break
		}
	}
	return turns
}

func (p *workPool) status() PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStatus{Name: "work", Limit: p.limit, Used: p.limit - p.free.Load(), Waiting: int(p.line.Load())}
}
