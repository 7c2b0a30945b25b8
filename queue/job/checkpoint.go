package job

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
)

// checkpoint is what a shard's holder keeps: all that has ended, and nothing that has
// not. Counts and places are of one moment.
type checkpoint struct {
	Version  int           `json:"version"`
	Finished bool          `json:"finished,omitempty"`
	Clean    bool          `json:"clean"` // stored by a Run that came to its end
	Starts   int64         `json:"starts"`
	Killed   int64         `json:"killed,omitempty"`
	Twice    int64         `json:"duplicates_at_most,omitempty"`
	Elapsed  time.Duration `json:"elapsed"`

	Below int64       `json:"below"`           // all slices of the shard before this one have ended
	Ended [][2]int64  `json:"ended,omitempty"` // and these, from one up to another
	Open  []openSlice `json:"open,omitempty"`
	Totals
}

// openSlice is a slice of which a part has ended.
type openSlice struct {
	N        int64  `json:"n"`
	Name     string `json:"slice"`              // shortened
	At       int64  `json:"at"`                 // reading goes on here
	Spans    []byte `json:"ended,omitempty"`    // what has ended above, as written by encodeSpans
	Messages int64  `json:"messages,omitempty"` // how many messages that is

	spans []queue.Interval
}

const checkpointVersion = 1

// ahead is how many messages may have been handed out that no stored checkpoint
// knows of: so many may come twice after the process was killed.
const ahead = 20_000

// nameInCheckpoint bounds what names add to a checkpoint.
func nameInCheckpoint(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most]
	}
	return strings.ToValidUTF8(name, "?")
}

// parseCheckpoint reads what a lease brought; nothing is a shard that never began.
func parseCheckpoint(value []byte) (*checkpoint, error) {
	c := &checkpoint{Version: checkpointVersion}
	if len(value) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(value, c); err != nil {
		return nil, fmt.Errorf("couldn't read the checkpoint: %w", err)
	}
	if c.Version != checkpointVersion {
		return nil, fmt.Errorf("couldn't read the checkpoint: it has version %d, this flushline knows %d", c.Version, checkpointVersion)
	}
	last := c.Below
	for _, iv := range c.Ended {
		if iv[0] <= last || iv[1] <= iv[0] {
			return nil, fmt.Errorf("couldn't read the checkpoint: slices %d to %d are out of order", iv[0], iv[1])
		}
		last = iv[1]
	}
	for i := range c.Open {
		o := &c.Open[i]
		var err error
		if o.spans, err = parseSpans(o.Spans, o.At); err != nil || o.At < 0 {
			return nil, fmt.Errorf("couldn't read the checkpoint: %s: %w", o.Name, errSpans)
		}
	}
	return c, nil
}

// past is the set of slices that have ended.
func (c *checkpoint) past() ordinals {
	o := ordinals{below: c.Below}
	for _, iv := range c.Ended {
		o.above = append(o.above, queue.Interval{From: iv[0], To: iv[1]})
	}
	return o
}

// start counts a start. One that finds what no Run left at its end follows one that
// was killed.
func (c *checkpoint) start(m *Manifest, shard int) {
	if c.Starts > 0 && !c.Clean {
		c.Killed++
		c.Twice += c.remaining(m, shard)
	}
	c.Starts++
	c.Clean = false
}

// remaining is how many messages may have been handed out that a checkpoint does
// not know of.
func (c *checkpoint) remaining(m *Manifest, shard int) int64 {
	planned := m.Shards[shard].Positions
	if planned == 0 { // files: nobody knows how many messages they hold
		return ahead
	}
	for _, n := range c.Passed {
		planned -= n
	}
	return min(ahead, max(0, planned-c.Messages))
}

// gather makes the checkpoint of this moment; covered is how many of the messages
// that this start handed out it knows to have ended.
func (s *Source) gather(clean bool) (c checkpoint, covered int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.kept
	c.Clean = clean
	c.Totals = s.kept.Totals.clone()
	if !s.began.IsZero() {
		c.Elapsed += time.Since(s.began)
	}
	c.Below, c.Ended = s.past.below, nil
	for _, iv := range s.past.above {
		c.Ended = append(c.Ended, [2]int64{iv.From, iv.To})
	}
	c.Open = nil
	for _, left := range s.left {
		c.Open = append(c.Open, *left)
	}
	covered = s.closedEnds
	for _, st := range s.open {
		st.mu.Lock()
		at, spans, messages := st.placeLocked()
		st.counts.addTo(&c.Totals, *s.ends.all.Load())
		covered += st.ended
		if clean {
			c.Twice += st.released
		}
		st.mu.Unlock()
		c.Open = append(c.Open, openSlice{N: st.n, Name: nameInCheckpoint(st.slice.Name), At: at, Spans: encodeSpans(at, spans), Messages: messages})
	}
	slices.SortFunc(c.Open, func(a, b openSlice) int {
		if a.N < b.N {
			return -1
		}
		return 1
	})
	return c, covered
}

// ReportOf is what a shard's checkpoint says; nil: it never began.
func ReportOf(m *Manifest, shard int, value []byte) (Report, error) {
	c, err := parseCheckpoint(value)
	if err != nil {
		return Report{}, fmt.Errorf("shard %d: %w", shard, err)
	}
	r := c.report(m, shard)
	for i := range c.Open {
		r.Reading = append(r.Reading, Reading{Slice: c.Open[i].Name, At: c.Open[i].At, To: -1})
	}
	return r, nil
}

func (c *checkpoint) report(m *Manifest, shard int) Report {
	return Report{
		Job: m.Job, Shard: shard, Of: len(m.Shards), Kind: m.Kind, Range: m.Range, Finished: c.Finished,
		Planned: m.Shards[shard], Totals: c.Totals, Lost: m.Lost,
		Starts: c.Starts, Killed: c.Killed, Twice: c.Twice, Elapsed: c.Elapsed,
	}
}

// Report may be called at any time, also after Run, from any goroutine.
func (s *Source) Report() Report {
	c, _ := s.gather(!s.isRunning())
	r := c.report(s.cfg.Manifest, s.cfg.Shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		r.Reading = append(r.Reading, st.reading())
	}
	slices.SortFunc(r.Reading, func(a, b Reading) int { return strings.Compare(a.Slice, b.Slice) })
	return r
}

func (s *Source) isRunning() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.began.IsZero()
}

func (s *strand) reading() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Reading{Slice: s.slice.Name, At: s.mark.Low(), To: s.slice.To, Size: s.slice.Size}
	if s.consumer != nil {
		r.Consumed = s.consumer.Consumed()
	}
	return r
}
