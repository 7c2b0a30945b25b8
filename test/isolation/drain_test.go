//go:build linux

package isolation

import (
	"slices"
	"sort"
	"testing"
	"time"
)

// drain has the destinations back and follows what was parked until all of it has come.
func (x *trial) drain(t *testing.T, stores []int) {
	t.Helper()
	is := map[int]bool{}
	for _, s := range stores {
		is[s] = true
	}
	back := time.Now()
	var want int
	for _, s := range stores {
		want += int(x.load.counts[s].Load()) - x.book.came[s]
	}
	x.mood(t, x.well(), stores...)
	var old []int64 // when groups of the outage came
	type moment struct {
		at   int64
		well bool
	}
	var young []moment // groups that were published since
	x.book.follow(t, 5*time.Minute+2*outage, "what was parked has come", func(n note) {
		switch {
		case n.again:
		case is[n.store] && n.published < back.UnixNano():
			old = append(old, n.came)
		case n.published >= back.UnixNano():
			young = append(young, moment{n.came, !is[n.store]})
		}
	}, func() bool { return len(old) >= want })
	slices.Sort(old)
	from, to := x.opened(old), old[len(old)-1-len(old)/20]
	if from >= to {
		t.Fatalf("the backlog of %d groups was gone before its lane was open: there is nothing to measure", len(old))
	}
	part := float64(sort.Search(len(old), func(i int) bool { return old[i] >= to }) - sort.Search(len(old), func(i int) bool { return old[i] >= from }))
	d := drain{
		lanes: len(stores), backlog: len(old), waited: time.Duration(old[0] - back.UnixNano()), empty: time.Duration(old[len(old)-1] - back.UnixNano()),
		took: time.Duration(to - from),
	}
	var live, others int
	for _, m := range young {
		if m.at < from || m.at > to {
			continue
		}
		if m.well {
			others++
		} else {
			live++
		}
	}
	seconds := d.took.Seconds()
	d.speed = part / seconds / float64(len(stores)) / (faster * x.lane)
	d.live = float64(live) / seconds / float64(len(stores)) / x.lane
	d.others = float64(others) / seconds / float64(lanes-len(stores)) / x.lane
	t.Logf("after an outage of %d lanes: %+v", len(stores), d)
	x.drains = append(x.drains, d)
}

// opened is when a lane takes as many as come. On NATS that is ten seconds after the first
// of its records came, which come one at a time until then; on Kafka the first of a sweep
// opens it, and from its twentieth part on it is counted.
func (x *trial) opened(old []int64) int64 {
	if x.q.name() == "nats" {
		return old[0] + int64(10*time.Second)
	}
	return old[len(old)/20]
}

// drain is how what was parked came, once its destinations were back.
type drain struct {
	lanes, backlog      int
	waited, empty, took time.Duration // until the first came, until the last did, of what speed is of
	speed               float64       // of a lane's backlog, as part of its destination's speed
	live                float64       // of a lane, as part of what was offered meanwhile
	others              float64       // likewise, of the lanes that were well
}
