package flushers

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
)

// Durability says what a nil from Flush means.
type Durability int

const (
	// Durable: the data is stored at the destination when Flush returns nil.
	Durable Durability = iota
	// Enqueued: Flush only hands over. Refused unless the flusher entry sets
	// allow_enqueued. No built-in kind is.
	Enqueued
)

func (d Durability) String() string { return [...]string{"durable", "enqueued"}[d] }

// Idempotence says what a destination does with data it already has.
type Idempotence int

const (
	// None: a repeated Flush stores a second copy.
	None Idempotence = iota
	// SameCall: an identical Flush repeated stores nothing new.
	SameCall
	// PerGroup: a group with the same ID is stored once, however batched.
	PerGroup
	// PerLog: a log with the same ID is stored once, however batched.
	PerLog
)

func (i Idempotence) String() string {
	return [...]string{"none", "same-call", "per-group", "per-log"}[i]
}

// Kind is a type of flusher: what the configuration names as `type`.
type Kind struct {
	Name    string // "elasticsearch"; lower case letters, digits, underscore
	Summary string // one sentence; Description returns it

	// New returns a flusher whose exported fields are its options, tagged for
	// package option, with the defaults filled in. It must not open anything. It is
	// nil for a kind that is compiled only on the systems in OS, of which this is
	// none: configurations that use it are told so.
	New func() Flusher

	Durability  Durability
	Idempotence Idempotence
	Within      string // what bounds Idempotence: "the stream's duplicate window"; empty: nothing does
	Atomic      bool   // a failed Flush wrote nothing
	NoRetain    bool   // keeps no memory of the groups after Flush returned
	Raw         bool   // takes Batch.Raw only: groups are not decoded
	Joins       bool   // its Flushes wait in a GroupCommit: one costs a stack, so four times as many may wait

	TestedAgainst string   // "Apache Kafka 4.3.1", "spec fake"; shown by `flushers ls`
	OS            []string // GOOS values it runs on; empty: all
	Docs          Docs     // for `flushers describe` and the pages of docs/flushers
}

// Available says whether the kind runs on this system.
func (k *Kind) Available() bool { return len(k.OS) == 0 || slices.Contains(k.OS, runtime.GOOS) }

var kindName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// Registry is a closed set of kinds. Programs make their own; nothing registers
// itself.
type Registry struct {
	kinds []Kind
}

// NewRegistry refuses kinds without name, summary or constructor, and a name
// that stands twice. Only a kind of other systems may lack the constructor.
func NewRegistry(kinds ...Kind) (*Registry, error) {
	r := &Registry{}
	for i := range kinds {
		k := kinds[i]
		switch {
		case !kindName.MatchString(k.Name):
			return nil, fmt.Errorf("flusher kind %q: the name must match %s", k.Name, kindName)
		case k.Summary == "" || (k.New == nil && k.Available()):
			return nil, fmt.Errorf("flusher kind %q: Summary and New are required", k.Name)
		case r.Find(k.Name) != nil:
			return nil, fmt.Errorf("flusher kind %q is registered twice", k.Name)
		}
		r.kinds = append(r.kinds, k)
	}
	slices.SortFunc(r.kinds, func(a, b Kind) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return r, nil
}

// Kinds are sorted by name.
func (r *Registry) Kinds() []Kind { return r.kinds }

// Find returns nil if there is no kind of that name.
func (r *Registry) Find(name string) *Kind {
	for i := range r.kinds {
		if r.kinds[i].Name == name {
			return &r.kinds[i]
		}
	}
	return nil
}
