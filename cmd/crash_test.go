package cmd

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestAPanicIsTheExitCodeOfADefect(t *testing.T) {
	t.Parallel()
	core, told := observer.New(zapcore.ErrorLevel)
	code := 0
	crash(zap.New(core), func(c int) { code = c })("index out of range", []byte("goroutine 1"))
	if code != exitDefect || told.Len() != 1 {
		t.Fatalf("exit code %d, %d lines", code, told.Len())
	}
	line := told.All()[0].ContextMap()
	if line["panic"] != "index out of range" || line["stack"] != "goroutine 1" {
		t.Errorf("%v", line)
	}
}
