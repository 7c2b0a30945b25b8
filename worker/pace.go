package worker

import (
	"runtime/debug"
	"runtime/metrics"
)

// pacer chooses GOGC once a second. A high one saves CPU where garbage comes fast, and
// costs memory always: five thousand lanes that wait in Flush are 50 MiB that live, and
// 400 % of that is 200 MiB of garbage which is collected every ten seconds. So the
// percentage goes up while collections are frequent, and down while they are rare.
//
// It counts collections, not their CPU time: the runtime measures that by the clock,
// so that on a busy machine it is several times what was used.
type pacer struct {
	most, percent int
	set           func(percent int)
	sample        []metrics.Sample

	cycles uint64  // collections at the last look
	rate   float64 // collections a second, averaged over eight seconds
}

const (
	gcLeast    = 50
	gcFrequent = 2.0 // collections a second; one marks 50 MiB in about 30 ms of CPU
	gcRare     = 0.8 // below half of gcFrequent: twice as many are not frequent
)

// newPacer is for Run; nil where nobody wants it.
func newPacer(most int, set func(percent int)) *pacer {
	if most <= gcLeast {
		return nil
	}
	set(gcLeast)
	p := &pacer{most: most, percent: gcLeast, set: set, sample: []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}}
	p.cycles = p.read()
	return p
}

func setGCPercent(percent int) { debug.SetGCPercent(percent) }

func (p *pacer) read() uint64 {
	metrics.Read(p.sample)
	return p.sample[0].Value.Uint64()
}

// look is called once a second.
func (p *pacer) look() {
	if p != nil {
		p.adjust(p.read())
	}
}

// adjust takes how many collections there were so far.
func (p *pacer) adjust(cycles uint64) {
	p.rate += (float64(cycles-p.cycles) - p.rate) / 8
	p.cycles = cycles
	switch {
	case p.rate > gcFrequent && p.percent < p.most:
		p.change(min(p.most, p.percent*2), p.rate/2)
	case p.rate < gcRare && p.percent > gcLeast:
		p.change(max(gcLeast, p.percent/2), p.rate*2)
	}
}

// change also says how many there will be from now on, so that the average of before
// does not change it again.
func (p *pacer) change(percent int, rate float64) {
	p.percent, p.rate = percent, rate
	p.set(percent)
}
