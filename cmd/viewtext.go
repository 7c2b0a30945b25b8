package cmd

import (
	"fmt"
	"io"
	"time"

	"github.com/flushline/flushline/protocol"
)

// printView writes a LogGroup for people. The writer keeps the first error.
func printView(w io.Writer, v *protocol.View) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	for _, field := range [][2]string{
		{"category", v.Category}, {"topic", v.Topic}, {"source", v.Source}, {"machine", v.Machine},
	} {
		if field[1] != "" {
			line("  %s: %s", field[0], printable(field[1]))
		}
	}
	for _, tag := range v.Tags {
		line("  tag %s = %s", printable(tag.Key), viewValue(tag.ViewValue))
	}
	for _, log := range v.Logs {
		line("  %s", log.Time.UTC().Format(time.RFC3339Nano))
		for _, c := range log.Contents {
			line("    %s = %s", printable(c.Key), viewValue(c.ViewValue))
		}
		for _, value := range log.Values {
			line("    - %s", viewValue(value))
		}
	}
	if v.LeftOut > 0 {
		line("  (and %s more)", counted(v.LeftOut, "log"))
	}
}

// viewValue is a text of the payload, or how long it is.
func viewValue(v protocol.ViewValue) string {
	if v.Value != nil {
		return printable(*v.Value)
	}
	return redacted(v.Bytes)
}

func redacted(n int) string { return "<" + counted(n, "byte") + ">" }
