package flushertest

import (
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// Harness says how a kind is tested.
type Harness struct {
	// Start starts a destination that holds nothing. It is called in the parent
	// process only, once for each property; ending it is tb.Cleanup's business. A
	// server that is slow to start may be shared, if each Target has an index, a
	// table or a directory of its own.
	Start func(tb testing.TB) Target

	// Except names properties that cannot be shown for this kind, each with the
	// reason, which is logged: a kind that prints has no server to break. A name
	// that is none of [Properties] fails the test.
	Except map[string]string
}

// Target is a destination. Its functions are called from one goroutine at a time.
type Target struct {
	// Options are the kind's own keys of a flusher entry.
	Options map[string]any

	// Stored returns each log that the destination holds durably at this moment,
	// duplicates included, in any order, over all projects, logstores and configs.
	// An error says that it holds something that cannot be read.
	Stored func() ([]Record, error)

	// Break makes the destination unreachable, for open connections and new ones;
	// Heal makes it well again after Break, Hang and Answers. Both return when that
	// is done. [Proxy] has them for whatever speaks TCP.
	Break, Heal func()

	// Hang lets the destination take requests and answer none until Heal. Nil:
	// Break stands in for it.
	Hang func()

	// Answers make the destination refuse every request until Heal, so that the
	// worker needs that class of error: wrong credentials for ClassMisconfigured, a
	// limit of its rate for ClassRetryAfter.
	Answers map[flushers.Class]func()

	// Poison changes a group so that the destination refuses it for what it holds,
	// for ever, while it takes others. The id of its logs has to stay. Nil: the
	// destination takes everything.
	Poison func(g *protocol.LogGroup)

	// InitFails are options, each laid over Options, with which Init returns an
	// error: a directory that is missing, a file that is no certificate.
	InitFails []map[string]any

	// Keeps is what the destination keeps of a log, if that is not its Time and each
	// field. Nil: Record.Fields holds at least those fields whose key is not empty
	// and stands once, and whose key and value are UTF-8.
	Keeps func(g *protocol.LogGroup, l *protocol.Log) Record
}

// hang is Hang, or Break where there is none.
func (to *Target) hang() {
	if to.Hang != nil {
		to.Hang()
		return
	}
	to.Break()
}
