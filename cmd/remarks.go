package cmd

import (
	"sync"

	"go.uber.org/zap/zapcore"
)

// remarks is a log of which only the texts of warnings are kept: what a flusher has
// against its destination and can work with. Errors come out of its calls.
type remarks struct {
	mu    sync.Mutex
	texts []string
}

var _ zapcore.Core = (*remarks)(nil)

// Enabled implements zapcore.Core.
func (r *remarks) Enabled(l zapcore.Level) bool { return l == zapcore.WarnLevel }

// With implements zapcore.Core: fields are left out.
func (r *remarks) With([]zapcore.Field) zapcore.Core { return r }

// Check implements zapcore.Core.
func (r *remarks) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if r.Enabled(e.Level) {
		return to.AddCore(e, r)
	}
	return to
}

// Write implements zapcore.Core.
func (r *remarks) Write(e zapcore.Entry, _ []zapcore.Field) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, e.Message)
	return nil
}

// Sync implements zapcore.Core.
func (r *remarks) Sync() error { return nil }

// taken is what was said so far.
func (r *remarks) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	texts := r.texts
	r.texts = nil
	return texts
}
