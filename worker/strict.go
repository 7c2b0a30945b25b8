package worker

import (
	"maps"
	"slices"

	"github.com/flushline/flushline/flushers"
)

// inOrder is a failure as a lane takes it that keeps the order: what lies behind the
// first group that failed is tried again with it, whatever became of it, and what can
// never be flushed stops the lane.
func (b *batch) inOrder(v *verdict) *verdict {
	switch {
	case v.class == flushers.ClassPartial && len(v.failed) > 0:
		first := slices.Min(slices.Collect(maps.Keys(v.failed)))
		why := *stopping(v.failed[first])
		again := &verdict{class: flushers.ClassPartial, text: v.text, failed: map[int]*verdict{}}
		for i := first; i < len(b.parts); i++ {
			again.failed[i] = &why
		}
		return again
	case len(b.parts) == 1:
		return stopping(v)
	}
	return v
}

// stopping turns what would be a dead letter into what somebody has to mend.
func stopping(v *verdict) *verdict {
	if v.class != flushers.ClassPermanent && v.class != flushers.ClassTooLarge {
		return v
	}
	return &verdict{
		class: flushers.ClassMisconfigured,
		text:  "`order: strict` has no way around this group: " + v.text,
	}
}
