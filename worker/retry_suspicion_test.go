package worker_test

import (
	"math"
	"time"

	"github.com/flushline/flushline/worker"
)

// suspicion is what failures of a batch say about its data, by decision 16.
type suspicion struct {
	failures  int // plain ones since the last that says nothing about the data
	strikes   int // of them, with a success of the lane since the one before
	alone     int // the same of one group that was cut out of a batch, the first included
	strays    int // failures with successes of other lanes alone, of all that its lane has
	elsewhere int // successes of other lanes when it failed
	counted   int // 1: its first failure counts against the destination

	bad  bool // poison is in it: it is cut behind the next success
	lone bool // it may be cut once, because other lanes delivered
	part bool // of a batch that was cut
	rare bool // that batch was all that its lane had
}

// firsts are first tries of single groups.
type firsts struct{ good, bad int }

// strikes is how many failures behind the first make poison, of a group whose own
// first failure counts so often.
func (f firsts) strikes(own int) int {
	const granted, third, chance = 4, 0.33, 1e-7
	bad := f.bad - own
	if bad <= 0 {
		return 3
	}
	p := float64(bad) / float64(bad+f.good+granted)
	if p >= third {
		return math.MaxInt
	}
	return max(3, int(math.Ceil(math.Log(chance)/math.Log(p)))-1)
}

func (s *suspicion) suspect() bool { return s.strikes > 0 || s.bad || s.part }

// piece is what is thought of both halves.
func (s *suspicion) piece() suspicion {
	return suspicion{failures: 1, elsewhere: s.elsewhere, counted: s.counted, part: true, rare: s.rare || s.lone}
}

// accuse notes that the first half was taken: it is the second that is bad.
func (s *suspicion) accuse() {
	if s.bad = true; s.rare {
		s.alone = 1
	}
}

// failed notes a plain failure of n groups. True: it is poison. Of the lane, since says
// that it delivered since the last failure, quiet that it has nothing else.
func (s *suspicion) failed(n, strikes, others int, since, quiet bool) bool {
	stray := s.failures > 0 && !since && quiet && others > s.elsewhere
	s.failures++
	s.elsewhere = others
	if since {
		s.strays, s.lone = 0, false
		if !s.part {
			s.strikes++
		}
	}
	if stray {
		s.strays++
		s.lone = s.strays >= 3 && !s.part && n > 1
	}
	switch {
	case s.part && n == 1:
		if since || s.alone == 0 {
			s.alone++
		}
		s.bad = true
		return since && s.alone >= strikes-1
	case s.part:
		s.bad = true
	case since && s.strikes >= strikes:
		s.bad = true
		return n == 1
	}
	return false
}

func (d *debts) others(l *debtor) (n int) {
	for i := range d.lanes {
		if other := &d.lanes[i]; other != l {
			n += other.taken
		}
	}
	return n
}

func (d *debts) count(l *debtor, good, bad int) {
	for _, f := range []*firsts{&l.firsts, &d.firsts} {
		f.good += good
		f.bad += bad
	}
}

// took notes that a call stored something: what is bad is cut now.
func (d *debts) took(l *debtor, ids []string) {
	l.taken++
	l.blamed = false
	for _, id := range ids {
		if isPoison(id) {
			d.blame("%s can never be flushed and was", id)
		}
		l.ended[id] = ""
	}
	now := time.Now()
	for _, o := range l.owes {
		if o.bad && len(o.ids) > 1 && o.until.After(now) {
			o.until = now
		}
	}
}

// plain notes a failure that may be the fault of the data.
func (d *debts) plain(l *debtor, o *owed) {
	l.through(o, false)
	if o.tries == 1 && len(o.ids) == 1 && !l.blamed {
		o.counted, l.blamed = 1, true
		d.count(l, 0, 1)
	}
	since := o.failures > 0 && l.taken > o.after
	quiet := l.fresh == 0 && len(l.owes) == 0 && len(l.calls) == 0
	strikes := max(l.firsts.strikes(o.counted), d.firsts.strikes(o.counted))
	if o.failed(len(o.ids), strikes, d.others(l), since, quiet) {
		d.count(l, 0, -o.counted)
		l.ended[o.ids[0]] = worker.ReasonPoison
		return
	}
	if since && o.suspect() {
		o.backs = 0 // others come through: it is not the destination that has to be spared
	} else {
		l.fails(o)
	}
	l.backOff(o)
}

// otherwise notes a failure that says nothing about the data: what it was suspected of
// has to be shown again.
func (d *debts) otherwise(l *debtor, o *owed) {
	l.through(o, false)
	o.failures, o.strikes, o.strays, o.alone, o.lone = 0, 0, 0, 0, false
	o.bad = o.bad && o.part
	o.elsewhere = d.others(l)
	l.fails(o)
	l.probe = false
}
