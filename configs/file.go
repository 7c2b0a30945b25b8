package configs

import (
	"slices"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/file/logfile"
	"github.com/flushline/flushline/worker"
)

// fileSource compares `source.file` with the rest of the file.
func (l *loader) fileSource(root *option.Node, start option.Pos, c *Config) {
	f := c.Source.File
	if f == nil {
		return
	}
	if p := root.Get("dead_letter"); p != nil && !c.DeadLetter.None && c.DeadLetter.File == "" {
		l.errorf(p.Pos, "dead_letter", "write dead_letter: {file: DIR}, or dead_letter: none",
			"files have no queue beside them that could keep dead letters")
	} else if p == nil {
		l.errorf(start, "dead_letter", "write dead_letter: {file: DIR}, or dead_letter: none",
			"dead_letter is missing: files have no queue beside them that could keep dead letters")
	}
	for _, path := range []string{"format", "encoding"} {
		if at := given(root, "source.file.decode."+path); at != (option.Pos{}) {
			hint := "write source.file.format"
			if path == "encoding" {
				hint = "remove the line"
			}
			l.errorf(at, "source.file.decode."+path, hint, "decode.%s says how messages are read: what a file holds says format, and how it is compressed its first bytes", path)
		}
	}
	l.blockTaken(root, start, c)
	l.fileKey(root, start, c)
}

// blockTaken: lines in a row become one message, which has to fit.
func (l *loader) blockTaken(root *option.Node, start option.Pos, c *Config) {
	limits := []struct {
		name string
		size option.Bytes
	}{{c.Source.messageLimit(), c.Limits.Message}, {"limits.decompressed", c.Limits.Decompressed}}
	for _, limit := range limits {
		if least := max(logfile.LeastMessage, c.Source.File.MaxLine); limit.size < least {
			l.errorf(root.Place(start, limit.name), limit.name, "write at least "+least.String(),
				"%s %s is below %s: messages made of the lines of a file may be that large", limit.name, limit.size, least)
		}
	}
}

// fileKey: nothing but frames has a key of its own.
func (l *loader) fileKey(root *option.Node, start option.Pos, c *Config) {
	only := func(r worker.KeyRule) bool { return r.From == worker.KeyHeaders }
	format := c.Source.File.Format
	if format == "frames" || slices.ContainsFunc(c.Source.Key, func(r worker.KeyRule) bool { return !only(r) }) {
		return
	}
	at, path := root.Place(start, "source.file.key"), "source.file.key"
	const hint = `write where it is found: key: [headers, {path: "{project}/{logstore}/*"}, {constant: {config: backfill}}]`
	if format == "auto" {
		l.warnf(at, path, hint, "only frames have a key of their own: groups of other files become dead letters, no_key")
		return
	}
	l.errorf(at, path, hint, "nothing gives groups of a file with %s a key: all would become dead letters", format)
}
