//go:build unix

package e2e

import (
	"bytes"
	"net/http"
	"sync/atomic"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// How a destination fails: it says so at once, it never answers, it ends the connection
// without an answer, it says that the data is wrong, or that who sends it may not. In each
// case it has stored nothing.
const (
	refuses = "refuses"
	hangs   = "hangs"
	cuts    = "cuts"
	rejects = "rejects"
	denies  = "denies"
)

// outage is a failure of a destination.
type outage struct {
	how string
	of  ledger.Of // the keys that it takes nothing of; nil: all
	met atomic.Int64
}

// fails makes the destination fail until it is well again. A request that hangs then
// hangs for as long as its client waits.
func (r *receiver) fails(how string, of ledger.Of) *outage {
	o := &outage{how: how, of: of}
	r.outage.Store(o)
	return o
}

func (r *receiver) recovers() { r.outage.Store(nil) }

// keyOf is the key of a request: a batch has one.
func (r *receiver) keyOf(body []byte) protocol.Key {
	first, _, _ := bytes.Cut(body, []byte("\n"))
	files := ledger.Files{Run: r.run}
	return files.Line(first, "").Key
}

func (o *outage) meets(k protocol.Key) bool { return o.of == nil || o.of(k) }

func (o *outage) answer(w http.ResponseWriter, req *http.Request) {
	o.met.Add(1)
	switch o.how {
	case hangs:
		<-req.Context().Done()
	case cuts:
		panic(http.ErrAbortHandler)
	case rejects:
		http.Error(w, "this is no data for me", http.StatusBadRequest)
		return
	case denies:
		http.Error(w, "the password was revoked", http.StatusUnauthorized)
		return
	}
	http.Error(w, "nothing is taken", http.StatusServiceUnavailable)
}
