package flushers

// Declares is implemented by flushers whose options change what their kind promises: a
// format that is passed on as bytes needs no decoded groups, a destination that is told
// no ids cannot know what it has. It is found by type assertion, as soon as the options
// are filled in and before Init.
type Declares interface {
	// Declare changes a copy of the kind. Idempotence, Within, Atomic, NoRetain and Raw may
	// differ, and nothing else.
	Declare(k *Kind)
}

// As is the kind as the options of a flusher make it.
func (k Kind) As(f Flusher) Kind {
	d, ok := f.(Declares)
	if !ok {
		return k
	}
	said := k
	d.Declare(&said)
	k.Idempotence, k.Within, k.Atomic, k.NoRetain, k.Raw = said.Idempotence, said.Within, said.Atomic, said.NoRetain, said.Raw
	return k
}

// Named is implemented by a Context that knows which flusher entry its instance is of.
// It is found by type assertion: see Entry.
type Named interface{ GetEntry() string }

// Entry is the flusher entry of an instance, "route/flusher", for kinds that have to tell
// at the destination what two entries store. It is empty outside of a worker.
func Entry(c Context) string {
	if n, ok := c.(Named); ok {
		return n.GetEntry()
	}
	return ""
}
