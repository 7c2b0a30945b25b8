package e2e

import (
	"context"
	"errors"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// watchedKind is the name under which the caller's kind stands in the worker's
// configuration file.
const watchedKind = "watched"

// watch is the caller's kind with a witness at its calls of Flush. It promises and
// does what the kind does: the worker sees no difference.
func watch(kind flushers.Kind, w *witness) flushers.Kind {
	inner := kind.New
	kind.Name = watchedKind
	kind.New = func() flushers.Flusher { return &watched{Flusher: inner(), witness: w} }
	return kind
}

// watched is one instance.
type watched struct {
	flushers.Flusher

	Options *option.Node `option:"options" help:"The options of the flusher that is watched."`

	witness *witness
}

var (
	_ flushers.BatchFlusher = (*watched)(nil)
	_ flushers.Concurrent   = (*watched)(nil)
	_ flushers.Hinter       = (*watched)(nil)
	_ flushers.Placed       = (*watched)(nil)
	_ flushers.Located      = (*watched)(nil)
	_ flushers.Declares     = (*watched)(nil)
	_ option.Validator      = (*watched)(nil)
)

// Validate decodes the options into the flusher itself.
func (w *watched) Validate() []option.Problem {
	if w.Flusher == nil {
		return nil // an empty struct, whose form alone was asked for
	}
	n := w.Options
	if n == nil {
		n = &option.Node{Kind: option.Map}
	}
	return option.DecodeAt(n, n.Pos, "options", w.Flusher)
}

// FlushBatch is Flush or FlushBatch of the flusher, whichever the worker would
// have called.
func (w *watched) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	call := w.witness.begins(len(b.IDs))
	var err error
	if f, ok := w.Flusher.(flushers.BatchFlusher); ok {
		err = f.FlushBatch(ctx, b)
	} else {
		err = w.Flush(b.Project, b.Logstore, b.Config, b.Groups)
	}
	call.returns(unstored(err, len(b.IDs)))
	return err
}

// unstored is how many of the groups an error does not call stored.
func unstored(err error, groups int) int {
	var partial *flushers.PartialError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &partial):
		return len(partial.Failed)
	}
	return groups
}

// Concurrent is the flusher's, or 1.
func (w *watched) Concurrent() int {
	if f, ok := w.Flusher.(flushers.Concurrent); ok {
		return f.Concurrent()
	}
	return 1
}

// BatchHint is the flusher's, or no wish.
func (w *watched) BatchHint() flushers.Hint {
	if f, ok := w.Flusher.(flushers.Hinter); ok {
		return f.BatchHint()
	}
	return flushers.Hint{}
}

// Locate is the flusher's, or what the kind does.
func (w *watched) Locate(project, logstore, config string) string {
	if f, ok := w.Flusher.(flushers.Located); ok {
		return f.Locate(project, logstore, config)
	}
	return w.Description()
}

// Declare is the flusher's, or nothing else than the kind says.
func (w *watched) Declare(k *flushers.Kind) {
	if f, ok := w.Flusher.(flushers.Declares); ok {
		f.Declare(k)
	}
}

// Place is the flusher's, or nothing to compare.
func (w *watched) Place() (place, format string) {
	if f, ok := w.Flusher.(flushers.Placed); ok {
		return f.Place()
	}
	return "", ""
}
