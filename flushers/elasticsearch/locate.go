package elasticsearch

import (
	"os"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/protocol"
)

var (
	_ flushers.Located  = (*Flusher)(nil)
	_ flushers.Placed   = (*Flusher)(nil)
	_ flushers.Declares = (*Flusher)(nil)
)

// Locate is the addresses and the index, with what each log fills as its placeholder.
func (f *Flusher) Locate(project, logstore, config string) string {
	host, _ := os.Hostname() // an unknown one is empty in the name, too
	n := names.New(&f.Index, f.Options, names.Index)
	v := protocol.TemplateVars{Key: protocol.Key{Project: project, Logstore: logstore, Config: config}, Host: host}
	return n.Locate(&v) + " at " + f.where()
}

// Place is the index at its addresses, and the shape of documents.
func (f *Flusher) Place() (place, format string) {
	j := f.json()
	return f.where() + " " + f.Index.String(), j.Shape
}
