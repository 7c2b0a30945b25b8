package ledger

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/flushline/flushline/protocol"
)

// Verdict compares what was confirmed with what was found.
type Verdict struct {
	Confirmed int `json:"confirmed"` // logs that the broker stored for certain
	Unknown   int `json:"unknown"`   // logs that were tried and not confirmed
	Total     int `json:"total"`     // logs found, copies and all

	Lost     Finding `json:"lost"`     // confirmed and found nowhere
	Spurious Finding `json:"spurious"` // found and never tried
	Corrupt  Finding `json:"corrupt"`  // found changed, or where it does not belong

	// Copies says how many ids were found how often; Copies[1] is the good case.
	Copies map[int]int `json:"copies"`
	// Duplicates is how many logs were found beyond the first of each id.
	Duplicates int `json:"duplicates"`

	Reorder  Reorder             `json:"reorder"`
	Recovery map[string]Recovery `json:"recovery,omitempty"` // by the names of marks
}

// Finding counts and names the first few.
type Finding struct {
	Count int      `json:"count"`
	First []string `json:"first,omitempty"`
}

const named = 10

func (f *Finding) add(what string) {
	f.Count++
	if len(f.First) < named {
		f.First = append(f.First, what)
	}
}

// Of restricts a judgement to the keys that a destination should have got.
type Of func(protocol.Key) bool

// Judge reads the files of one destination against the book; of nil means all
// keys.
func Judge(book Book, files Files, of Of) (*Verdict, Tally, error) {
	c := NewCount(book, of)
	tally, err := Read(files, c.See)
	if err != nil {
		return nil, tally, err
	}
	return c.Verdict(), tally, nil
}

// Count gathers sightings of one destination. Not safe for concurrent use.
type Count struct {
	book    Book
	of      Of
	copies  map[ID]int
	order   order
	timing  timing
	verdict Verdict
}

// NewCount begins with nothing seen and no marks.
func NewCount(book Book, of Of) *Count {
	if of == nil {
		of = func(protocol.Key) bool { return true }
	}
	return &Count{book: book, of: of, copies: make(map[ID]int), order: newOrder()}
}

// Time has recovery timed from the marks on; call it before the first See.
func (c *Count) Time(marks []Mark) { c.timing = newTiming(marks) }

// See takes one log into account. A corrupt log is not counted as a copy of the
// id it claims: if no intact copy is found, that id is lost as well.
func (c *Count) See(s Sighting) {
	c.verdict.Total++
	switch {
	case s.Unreadable:
		c.verdict.Corrupt.add("unreadable in " + s.File)
	case !c.tried(s):
		c.verdict.Spurious.add(s.ID.String() + " in " + s.File)
	case !s.Intact || s.Key != c.book[s.ID.Group].Key:
		c.verdict.Corrupt.add(s.ID.String() + " in " + s.File)
	default:
		c.copies[s.ID]++
		c.timing.see(&s)
		if c.copies[s.ID] == 1 {
			c.order.see(&s)
		}
	}
}

func (c *Count) tried(s Sighting) bool {
	if !s.Known || s.ID.Group >= uint64(len(c.book)) {
		return false
	}
	e := &c.book[s.ID.Group]
	return s.ID.Log < e.Logs && c.of(e.Key)
}

// Verdict sums up what was seen so far.
func (c *Count) Verdict() *Verdict {
	v := c.verdict
	v.Reorder, v.Recovery = c.order.sum, c.timing.sum()
	v.Copies = make(map[int]int)
	for _, n := range c.copies {
		v.Copies[n]++
		v.Duplicates += n - 1
	}
	for n := range c.book {
		c.missing(&v, uint64(n))
	}
	return &v
}

func (c *Count) missing(v *Verdict, n uint64) {
	e := &c.book[n]
	if !c.of(e.Key) {
		return
	}
	if !e.Confirmed {
		v.Unknown += e.Logs
		return
	}
	v.Confirmed += e.Logs
	for l := range e.Logs {
		if id := (ID{Group: n, Log: l}); c.copies[id] == 0 {
			v.Lost.add(id.String())
		}
	}
}

// Kept says that at-least-once was kept: nothing lost, spurious or corrupt, and
// something was confirmed at all.
func (v *Verdict) Kept() bool {
	return v.Confirmed > 0 && v.Lost.Count == 0 && v.Spurious.Count == 0 && v.Corrupt.Count == 0
}

// Once says that it was kept without a duplicate.
func (v *Verdict) Once() bool { return v.Kept() && v.Duplicates == 0 }

// Write prints the verdict for people.
func (v *Verdict) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "confirmed %d, unknown %d, found %d\n", v.Confirmed, v.Unknown, v.Total)
	for _, f := range []struct {
		name string
		Finding
	}{{"lost", v.Lost}, {"spurious", v.Spurious}, {"corrupt", v.Corrupt}} {
		fmt.Fprintf(&b, "%s %d", f.name, f.Count)
		if f.Count > 0 {
			fmt.Fprintf(&b, ": %s", strings.Join(f.First, ", "))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "duplicates %d", v.Duplicates)
	for _, n := range slices.Sorted(maps.Keys(v.Copies)) {
		fmt.Fprintf(&b, "; %d ids x%d", v.Copies[n], n)
	}
	b.WriteByte('\n')
	if v.Reorder.Logs > 0 {
		fmt.Fprintf(&b, "reordered %d logs of %d keys, at most %d places behind (%s)\n", v.Reorder.Logs, v.Reorder.Keys, v.Reorder.Deepest, v.Reorder.Key)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Recovery)) {
		r := v.Recovery[name]
		fmt.Fprintf(&b, "%s: %d of %d recovered; p50 %.3f s, p99 %.3f s, max %.3f s\n", name, r.Recovered, r.Marks, r.P50, r.P99, r.Max)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is what Write prints.
func (v *Verdict) String() string {
	var b strings.Builder
	_ = v.Write(&b)
	return b.String()
}

// WriteJSON prints the verdict for programs.
func (v *Verdict) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
