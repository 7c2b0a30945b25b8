package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// api is one request format at the version it is always sent in.
type api struct {
	key     protocol.ApiKey
	version int16
}

const (
	maxAnswer = 64 << 20  // no answer but Fetch's comes near it
	maxFetch  = 256 << 20 // a Fetch answer has at least one whole batch, however large
	chunk     = 64 << 10  // believed before the first byte of an answer has arrived
)

var (
	errTLSPort  = errors.New("it speaks TLS on this port")
	errNotKafka = errors.New("what listens on this port is no Kafka broker")
)

// exchange is one request and its answer. kafka-go's connections let it write and
// read its own bytes, so that nothing has to be registered with them.
type exchange struct {
	api
	frame []byte
	id    int32
	most  int
	link  *link
}

// ApiKey satisfies protocol.Message.
func (x *exchange) ApiKey() protocol.ApiKey { return x.key }

// Required satisfies protocol.RawExchanger: always.
func (x *exchange) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange runs on the connection's goroutine, also after the caller has left.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if err := x.link.speaks(x.api); err != nil {
		return nil, err
	}
	if _, err := rw.Write(x.frame); err != nil {
		return nil, err
	}
	a, err := readAnswer(rw, x.id, x.most)
	if err != nil {
		return nil, err
	}
	x.link.at(working)
	return a, nil
}

// newFrame is a request with its header, version 1: what non-flexible requests have.
func newFrame(a api, id int32, client string, body func(*encoder)) ([]byte, error) {
	e := encoder{b: make([]byte, 0, 128)}
	e.int32(0)
	e.int16(int16(a.key))
	e.int16(a.version)
	e.int32(id)
	e.str(client)
	if body != nil {
		body(&e)
	}
	binary.BigEndian.PutUint32(e.b, uint32(len(e.b)-4))
	return e.b, e.err
}

// answer is the body of a response in a buffer that release gives back.
type answer struct{ body []byte }

// ApiKey satisfies protocol.Message.
func (*answer) ApiKey() protocol.ApiKey { return 0 }

// answers holds the buffers of Fetch answers. Larger ones than pooled are left to
// the collector, or one burst would be kept for ever.
var answers sync.Pool

const pooled = 4 << 20

func (a *answer) release() {
	if cap(a.body) <= pooled {
		a.body = a.body[:0]
		answers.Put(a)
	}
}

func readAnswer(r io.Reader, id int32, most int) (*answer, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > most {
		return nil, strange(head, size, most)
	}
	var got [4]byte
	if _, err := io.ReadFull(r, got[:]); err != nil {
		return nil, whole(err)
	}
	if n := int32(binary.BigEndian.Uint32(got[:])); n != id {
		return nil, fmt.Errorf("the answer is that of request %d instead of %d", n, id)
	}
	a, _ := answers.Get().(*answer)
	if a == nil {
		a = new(answer)
	}
	var err error
	a.body, err = readBounded(r, a.body[:0], size-4)
	if err != nil {
		return nil, whole(err)
	}
	return a, nil
}

// strange reads a size that cannot be as what else may have been sent.
func strange(head [4]byte, size, most int) error {
	switch {
	case head[0] == 0x15 && head[1] == 3: // a TLS alert
		return errTLSPort
	case string(head[:]) == "HTTP":
		return fmt.Errorf("%w: it answers in HTTP", errNotKafka)
	case size > most:
		return fmt.Errorf("the answer announces %d bytes: more than %d are not accepted", size, most)
	}
	return fmt.Errorf("the answer announces %d bytes", size)
}

// readBounded reads n bytes, growing b as they arrive: never beyond twice what is
// there plus a chunk, whatever n says.
func readBounded(r io.Reader, b []byte, n int) ([]byte, error) {
	for len(b) < n {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(n, max(2*cap(b), chunk)))
			copy(grown, b)
			b = grown
		}
		to := min(n, cap(b))
		got, err := io.ReadFull(r, b[len(b):to])
		b = b[:len(b)+got]
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// whole makes an end within an answer a cut.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// millis is d as the protocol's 32 bits of milliseconds.
func millis(d time.Duration) int32 {
	return int32(min(max(d.Milliseconds(), 0), 1<<31-1))
}
