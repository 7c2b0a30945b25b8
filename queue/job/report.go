package job

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Report is what became of a shard's range: so far while it runs, all of it at the
// end. Everything in it but Rate-like figures of the caller is kept in the
// checkpoint, so it counts over all starts, and exactly: a message is counted once,
// when its end is part of a checkpoint.
type Report struct {
	Job      string    `json:"job,omitempty"`
	Shard    int       `json:"shard"`
	Of       int       `json:"of"`
	Kind     string    `json:"kind"`
	Range    string    `json:"range"`
	Finished bool      `json:"finished"` // all slices have ended
	Planned  ShardSize `json:"planned"`

	Totals
	Reading []Reading `json:"reading,omitempty"` // the slices that are open
	Lost    []Lost    `json:"lost,omitempty"`    // what was gone before the job was planned; of the whole job

	Starts  int64         `json:"starts"`             // how often the shard was started
	Killed  int64         `json:"killed"`             // of these, how many ended without a last checkpoint
	Twice   int64         `json:"duplicates_at_most"` // messages that may have been delivered twice because of that, or because a stop gave them back
	Elapsed time.Duration `json:"elapsed"`            // over all starts
}

// Reading is a slice that is open.
type Reading struct {
	Slice    string `json:"slice"`
	At       int64  `json:"at"`                 // all positions below have ended
	To       int64  `json:"to"`                 // -1: where the input ends, or not known
	Consumed int64  `json:"consumed,omitempty"` // of Size; see Consumer
	Size     int64  `json:"size,omitempty"`
}

// Totals is what has ended.
type Totals struct {
	Slices   int64             `json:"slices"`
	Messages int64             `json:"messages"`
	Bytes    int64             `json:"bytes"`            // of the values of messages, as read
	Stored   int64             `json:"stored,omitempty"` // Slice.Size of the slices
	Passed   map[string]int64  `json:"passed,omitempty"` // positions without a message for us, by reason
	Groups   map[string]Groups `json:"groups,omitempty"` // by "route/flusher"; "" is what no route took

	Damaged int64     `json:"damaged,omitempty"` // parts of inputs that could not be read as they should
	Damage  []Damage  `json:"damage,omitempty"`  // the first MaxNotes of them
	Failed  int64     `json:"failed,omitempty"`  // slices of which the rest could not be read
	Failure []Failure `json:"failure,omitempty"` // the first MaxNotes of them
}

// MaxNotes bounds the lists in Totals.
const MaxNotes = 100

// Groups is how groups ended.
type Groups struct {
	Flushed      int64            `json:"flushed"`
	DeadLettered map[string]int64 `json:"dead_lettered,omitempty"` // by reason class
	Skipped      map[string]int64 `json:"skipped,omitempty"`       // by reason
}

// Failure is a slice of which the rest could not be read.
type Failure struct {
	Slice string `json:"slice"`
	At    int64  `json:"at"` // position; what lies before was delivered
	Why   string `json:"why"`
}

// Missing says in words what of the range was not delivered; nothing: all was, as
// far as it is read.
func (r *Report) Missing() []string {
	var all []string
	say := func(n int64, what string) {
		if n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, what))
		}
	}
	for _, l := range r.Lost {
		all = append(all, fmt.Sprintf("%s: %s", l.Slice, l.Why))
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Passed)) {
		if lossy[reason] {
			say(r.Passed[reason], "positions passed over: "+reason)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(r.Groups)) {
		dead := r.Groups[to].DeadLettered
		for _, reason := range slices.Sorted(maps.Keys(dead)) {
			what := "groups for " + to
			if to == "" {
				what = "groups that no route took"
			}
			say(dead[reason], what+" dead-lettered: "+reason)
		}
	}
	say(r.Damaged, "damaged parts of inputs")
	say(r.Failed, "slices of which the rest could not be read")
	return all
}
