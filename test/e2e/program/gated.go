package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

func gatedKind() flushers.Kind {
	return flushers.Kind{
		Name:    "gated",
		Summary: "Appends JSON lines to files, is ready while another file exists, and hangs while a third one does.",
		New:     func() flushers.Flusher { return &gated{} },
	}
}

// gated is ready while the file Gate exists. It counts on nothing: each Flush
// opens the file, appends, and syncs it. While the file Hang exists Flush does not
// return, whatever its worker wishes; what it wrote after that is in the file
// Hang.late, a line a call with its number of logs.
type gated struct {
	Path string `option:"path,required" help:"Directory of the files, one for each project and logstore."`
	Gate string `option:"gate,required" help:"Ready while this file exists."`
	Hang string `option:"hang" help:"Flush waits until this file is away."`

	file string
}

func (g *gated) Init(c flushers.Context) error {
	g.file = filepath.Join(g.Path, c.GetProject(), c.GetLogstore()+".jsonl")
	return os.MkdirAll(filepath.Dir(g.file), 0o755)
}

func (g *gated) Description() string { return gatedKind().Summary }

func (g *gated) IsReady(string, string, int64) bool {
	_, err := os.Stat(g.Gate)
	return err == nil
}

func (g *gated) Flush(_, _, _ string, groups []*protocol.LogGroup) error {
	var lines []byte
	var logs int
	for _, group := range groups {
		lines = protocol.AppendJSONLines(lines, group)
		logs += len(group.Logs)
	}
	if g.hung() {
		if err := appendTo(g.Hang+".late", fmt.Appendln(nil, logs)); err != nil {
			return err
		}
	}
	return appendTo(g.file, lines)
}

// hung waits while the file Hang exists, and says whether it did.
func (g *gated) hung() bool {
	for waited := false; ; waited = true {
		if _, err := os.Stat(g.Hang); g.Hang == "" || err != nil {
			return waited
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// appendTo has the lines on the disk when it returns nil.
func appendTo(path string, lines []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("couldn't open %s: %w", path, err)
	}
	defer f.Close()
	if _, err := f.Write(lines); err != nil {
		return fmt.Errorf("couldn't write %s: %w", path, err)
	}
	return f.Sync()
}

func (g *gated) SetUrgent(bool) {}

func (g *gated) Stop() error { return nil }
