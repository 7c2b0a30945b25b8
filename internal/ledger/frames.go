package ledger

import (
	"errors"
	"io"

	"github.com/flushline/flushline/protocol"
)

// frames reads the LogGroups that a file flusher wrote with `format: loggroup`. A
// corrupt frame ends the file: where the next one would begin is not known, and
// what it held shows as lost.
func (f *Files) frames(r io.Reader, path string, each func(Sighting)) error {
	fr := protocol.NewFrameReader(r, 0)
	for {
		frame, err := fr.Next()
		var corrupt *protocol.CorruptFrameError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &corrupt):
			each(Sighting{File: path, Unreadable: true})
			return nil
		case err != nil:
			return err
		}
		var g protocol.LogGroup
		if g.Unmarshal(frame.Data) != nil {
			each(Sighting{File: path, Unreadable: true})
			continue
		}
		for _, log := range g.Logs {
			s := f.log(&g, log, path)
			s.Intact = s.Intact && s.Key == frame.Key
			each(s)
		}
	}
}

// log is the sighting of a log in protobuf form.
func (f *Files) log(g *protocol.LogGroup, l *protocol.Log, path string) Sighting {
	fields := make([][2]string, 0, len(l.Contents))
	for _, c := range l.Contents {
		fields = append(fields, [2]string{c.Key, c.Value})
	}
	return f.sight(fields, attributes(g, l), path)
}
