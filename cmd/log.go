package cmd

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger writes JSON lines, or for a person on a terminal readable ones.
// Nothing is sampled: the worker logs changes of state and never per message, so
// each line is one that somebody may look for.
func newLogger(w io.Writer, level zapcore.Level) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "msg", StacktraceKey: "stack",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	})
	if isTerminal(w) {
		encoder = zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
			TimeKey: "time", LevelKey: "level", MessageKey: "msg", StacktraceKey: "stack",
			EncodeTime:       func(t time.Time, e zapcore.PrimitiveArrayEncoder) { e.AppendString(t.Format("15:04:05.000")) },
			EncodeLevel:      zapcore.CapitalColorLevelEncoder,
			EncodeDuration:   zapcore.StringDurationEncoder,
			ConsoleSeparator: " ",
		})
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level))
}
