package sim

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
)

// ackReader reads what a client of NATS says, and tells the book of every
// acknowledgement on its way out.
type ackReader struct {
	book *book

	mu   sync.Mutex
	rest []byte
}

// read takes the next bytes; they may end anywhere.
func (r *ackReader) read(b []byte) {
	if r.book == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = append(r.rest, b...)
	for {
		line, after, whole := bytes.Cut(r.rest, []byte("\r\n"))
		if !whole {
			return
		}
		fields := strings.Fields(string(line))
		if len(fields) < 2 || !strings.EqualFold(fields[0], "PUB") && !strings.EqualFold(fields[0], "HPUB") {
			r.rest = after
			continue
		}
		size, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			r.book.violate("a worker said %q", line)
			size = 0
		}
		if len(after) < size+len("\r\n") {
			return
		}
		r.published(fields[1], after[:size])
		r.rest = after[size+len("\r\n"):]
	}
}

// published is one message of the client. An empty answer acknowledges as well.
func (r *ackReader) published(subject string, body []byte) {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 9 || tokens[0] != "$JS" || tokens[1] != "ACK" || (len(body) > 0 && !bytes.HasPrefix(body, []byte("+ACK"))) {
		return
	}
	at := 5
	if len(tokens) > 9 { // with domain and account
		at = 7
	}
	seq, err := strconv.ParseInt(tokens[at], 10, 64)
	if err != nil {
		r.book.violate("a worker acknowledged %q", subject)
		return
	}
	r.book.acknowledged(place(0, seq))
}
