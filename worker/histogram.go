package worker

import (
	"sync/atomic"
	"time"
)

// flushBuckets are the upper bounds of flush_seconds.
var flushBuckets = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// histogram counts durations. The collector reads it at a scrape, so that the hot
// path costs two atomic additions.
type histogram struct {
	counts [len(flushBuckets) + 1]atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(flushBuckets) && d > flushBuckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// cumulative is the form of a Prometheus histogram.
func (h *histogram) cumulative() (buckets map[float64]uint64, count uint64, sum float64) {
	buckets = make(map[float64]uint64, len(flushBuckets))
	for i := range flushBuckets {
		count += uint64(h.counts[i].Load())
		buckets[flushBuckets[i].Seconds()] = count
	}
	count += uint64(h.counts[len(flushBuckets)].Load())
	return buckets, count, time.Duration(h.sum.Load()).Seconds()
}
