package worker

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flushline/flushline/queue"
)

// maxStrandSeries bounds the label strand for each source: a worker that owns
// thousands of partitions is one series for the first of them, by name, and one for
// the others together.
const (
	maxStrandSeries = 100
	otherStrands    = "others"
)

// strandStates exist at zero.
var strandStates = [...]string{
	strandFetching, strandWindowFull, strandBudgetExhausted, strandBytesFull, strandLanesExhausted, strandParkingBehind, strandStopped, strandDraining, strandPaused,
	queue.StateJoining, queue.StateBrokerAway, queue.StateAckPendingExhausted, queue.StateMissing, queue.StateTopicMissing,
	queue.StateStalled, queue.StateRefused, queue.StateMisconfigured, queue.StateEnded,
}

// passedReasons exist at zero.
var passedReasons = [...]string{
	"expired", "purged", "max_deliveries", "terminated", "aborted", "compacted", "control", "recreated", "out_of_range", "too_large",
}

type (
	gauge   = func(*prometheus.Desc, float64, ...string)
	counter = func(*prometheus.Desc, int64, ...string)
)

// collectStrands exposes what strands are and what they count.
func (c collector) collectStrands(sn *snapshot, g gauge, n counter) {
	bySource := map[string][]StrandStatus{}
	for _, s := range sn.strands {
		bySource[s.info.Source] = append(bySource[s.info.Source], s.status(sn))
	}
	now := time.Now()
	for _, s := range sn.sources {
		collectStates(s.name, bySource[s.name], g)
		collectGauges(s.name, bySource[s.name], now, g)
		collectSums(s, n)
	}
}

func collectStates(source string, all []StrandStatus, g gauge) {
	count := map[string]int{}
	for _, state := range strandStates {
		count[state] = 0
	}
	for i := range all {
		count[all[i].State]++
	}
	for state, n := range count {
		g(descStrands, float64(n), source, state)
	}
}

func collectSums(s *source, n counter) {
	total := s.sums.total()
	n(descRedeliver, total[redelivered], s.name)
	delete(total, redelivered)
	for _, reason := range passedReasons {
		total[reason] += 0
	}
	for reason, v := range total {
		n(descPassed, v, s.name, reason)
	}
	if m := s.meter.Load(); m != nil {
		n(descRebalances, (*m).Totals().Rebalances, s.name)
	}
}

// collectGauges exposes each of the first strands, and of the others the sum of
// what adds up and the worst of what does not. Two strands may have one name while
// one follows the other.
func collectGauges(source string, all []StrandStatus, now time.Time, g gauge) {
	slices.SortFunc(all, func(a, b StrandStatus) int { return cmp.Compare(a.Name, b.Name) })
	var one, others strandGauges
	for i, series := 0, 0; i < len(all); i++ {
		st := &all[i]
		last := i+1 == len(all) || all[i+1].Name != st.Name
		if series == maxStrandSeries {
			others.add(st, now)
			continue
		}
		one.add(st, now)
		if !last {
			continue
		}
		one.collect(source, st.Name, g)
		if st.State != strandFetching {
			g(descPaused, 1, source, st.Name, st.State)
		}
		one = strandGauges{}
		series++
	}
	if others.strands > 0 {
		others.collect(source, otherStrands, g)
	}
}

// strandGauges is one strand, or several.
type strandGauges struct {
	strands   int
	lag       int64
	hasLag    bool
	oldest    time.Duration
	commit    time.Duration
	hasCommit bool // acknowledgements are commits here
}

func (v *strandGauges) add(st *StrandStatus, now time.Time) {
	v.strands++
	q := &st.Queue
	if q.Lag >= 0 {
		v.lag += q.Lag
		v.hasLag = true
	}
	if !q.Oldest.IsZero() {
		v.oldest = max(v.oldest, now.Sub(q.Oldest))
	}
	if q.CommittedAt.IsZero() {
		return
	}
	v.hasCommit = true
	if q.Position > q.Committed {
		v.commit = max(v.commit, now.Sub(q.CommittedAt))
	}
}

func (v *strandGauges) collect(source, strand string, g gauge) {
	if v.hasLag {
		g(descLag, float64(v.lag), source, strand)
	}
	g(descOldest, v.oldest.Seconds(), source, strand)
	if v.hasCommit {
		g(descCommit, v.commit.Seconds(), source, strand)
	}
}
