package kafka

import "sync/atomic"

// reason says why messages of the log were never delivered.
type reason int

const (
	expired    reason = iota // retention or DeleteRecords took them before we came
	control                  // markers of transactions: no messages at all
	aborted                  // written by transactions that were aborted
	compacted                // compaction removed them, or left batches without records
	recreated                // the topic was deleted and made anew
	outOfRange               // left out by the policy out_of_range, or gone from the end of the log
	tooLarge                 // too large to be handed out in any form
	reasons
)

var reasonNames = [reasons]string{"expired", "control", "aborted", "compacted", "recreated", "out_of_range", "too_large"}

func (r reason) String() string { return reasonNames[r] }

// passed counts the messages of one partition that were passed over, for the life
// of the process: its strands come and go.
type passed struct{ n [reasons]atomic.Int64 }

func (p *passed) add(r reason, n int64) {
	if n > 0 {
		p.n[r].Add(n)
	}
}

// counts is what to show, by reason; nil if there is nothing.
func (p *passed) counts() map[string]int64 {
	var m map[string]int64
	for r := range reasons {
		if n := p.n[r].Load(); n > 0 {
			if m == nil {
				m = map[string]int64{}
			}
			m[r.String()] = n
		}
	}
	return m
}
