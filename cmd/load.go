package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/flushline/flushline/configs"
)

var errNoConfig = errors.New("no configuration: give one with -c FILE or FLUSHLINE_CONFIG; `flushline demo` needs none")

// load reads a configuration. What is wrong with it is on the screen, with its
// lines, when the error returns; warnings are the caller's to show.
func (p *program) load(path string) (*configs.Config, *configs.Report, error) {
	if path == "" {
		return nil, nil, usage(errNoConfig)
	}
	cfg, report := configs.Load(path, p.kinds)
	if cfg == nil {
		fmt.Fprint(p.stderr, report.String())
		return nil, report, shown(exitUsage)
	}
	return cfg, report, nil
}

// loadShown is load for commands that show warnings at once.
func (p *program) loadShown(path string) (*configs.Config, error) {
	cfg, report, err := p.load(path)
	if err == nil && len(report.Problems) > 0 {
		fmt.Fprint(p.stderr, report.String())
	}
	return cfg, err
}

// logger is the one the configuration asks for; its level can be changed.
func (p *program) logger(cfg *configs.Config) (*zap.Logger, zap.AtomicLevel) {
	level := zap.NewAtomicLevelAt(levelOf(cfg))
	readable := cfg.Log.Format == "console" || cfg.Log.Format == "auto" && isTerminal(p.stderr)
	return newLogger(p.stderr, level, readable), level
}

// warnings is the logger of commands that print their result: it says what keeps
// them waiting.
func (p *program) warnings() *zap.Logger { return newLogger(p.stderr, zapcore.WarnLevel, true) }

// namingFile puts the file's name into the commands that an error recommends.
func namingFile(err error, path string) error {
	if err == nil || !strings.Contains(err.Error(), "-c FILE") {
		return err
	}
	return &renamed{err: err, text: named(err.Error(), path)}
}

// named puts the file's name into recommended commands.
func named(text, path string) string {
	if path == "" { // the command works without a file
		return text
	}
	if strings.ContainsAny(path, " \t'\"") {
		path = strconv.Quote(path)
	}
	return strings.ReplaceAll(text, "-c FILE", "-c "+path)
}

type renamed struct {
	err  error
	text string
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.err }
