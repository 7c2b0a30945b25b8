package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

func gatedKind() flushers.Kind {
	return flushers.Kind{
		Name:    "gated",
		Summary: "Appends JSON lines to files, and is ready while another file exists.",
		New:     func() flushers.Flusher { return &gated{} },
	}
}

// gated is ready while the file Gate exists. It counts on nothing: each Flush
// opens the file, appends, and syncs it.
type gated struct {
	Path string `option:"path,required" help:"Directory of the files, one for each project and logstore."`
	Gate string `option:"gate,required" help:"Ready while this file exists."`

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
	for _, group := range groups {
		lines = protocol.AppendJSONLines(lines, group)
	}
	f, err := os.OpenFile(g.file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("couldn't open %s: %w", g.file, err)
	}
	defer f.Close()
	if _, err := f.Write(lines); err != nil {
		return fmt.Errorf("couldn't write %s: %w", g.file, err)
	}
	return f.Sync()
}

func (g *gated) SetUrgent(bool) {}

func (g *gated) Stop() error { return nil }
