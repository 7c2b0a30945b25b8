package flushertest

import (
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// testLogger writes warnings into the log of a test, as long as it runs: what a
// kind leaves behind must not fail whoever comes next.
func testLogger(tb testing.TB) *zap.Logger {
	w := &testWriter{tb: tb}
	tb.Cleanup(w.end)
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, w, zap.WarnLevel))
}

type testWriter struct {
	mu sync.Mutex
	tb testing.TB // nil: the test has ended
}

func (w *testWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tb = nil
}

// Write logs a line.
func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tb != nil {
		w.tb.Logf("the flusher logged: %s", strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// Sync has nothing to do.
func (w *testWriter) Sync() error { return nil }
