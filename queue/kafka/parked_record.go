package kafka

import (
	"slices"
	"strconv"
	"strings"

	"github.com/flushline/flushline/queue"
)

// The headers that name the key of a parked record.
const (
	headerProject  = "x-log-project"
	headerLogstore = "x-log-logstore"
	headerConfig   = "x-log-config"
)

// parkedRecord is one parked record in memory, and the pieces of it in the log. While
// it is handed out, what it costs is charged to the handout, else to itself.
type parkedRecord struct {
	serving *serving
	lane    *sweepLane[*parkedRecord]
	pieces  []*queue.Delivery
	places  parkedPlaces
	message queue.Message
	origin  queue.Origin
	tries   int
	cost    int64
}

// end settles the pieces: the watermark may pass the record.
func (r *parkedRecord) end() {
	for _, d := range r.pieces {
		d.Ack()
	}
	r.message = queue.Message{}
}

// forget leaves the record where it is, for another sweep, and gives its bytes back.
func (r *parkedRecord) forget() {
	r.serving.missed(r)
	r.release()
	r.serving.at.host.Give(r.cost)
	r.cost = 0
}

func (r *parkedRecord) release() {
	for _, d := range r.pieces {
		d.Release()
	}
	r.message = queue.Message{}
}

// handout is a record as the worker has it, once. A record that came back and is handed
// out again is another handout: the first may still be freed.
type handout struct {
	queue.Delivery
	record *parkedRecord
}

// handOut makes the delivery of a record, to which its cost goes over.
func (r *parkedRecord) handOut() *queue.Delivery {
	h := &handout{record: r}
	r.tries++
	h.Init(r.message, r.origin, r.tries, r.cost, h, r.serving.at.host.Give)
	r.cost = 0
	return &h.Delivery
}

// Ack implements queue.Settler.
func (h *handout) Ack(*queue.Delivery) {
	h.record.end()
	h.record.serving.at.tell(parkedEvent{what: parkedTaken, record: h.record})
}

// Release implements queue.Settler.
func (h *handout) Release(*queue.Delivery) {
	h.record.release()
	h.record.serving.at.tell(parkedEvent{what: parkedReleased, record: h.record})
}

// Defer implements queue.Deferrer: the record is held again, and paid for again, before
// the worker frees what it had.
func (h *handout) Defer(d *queue.Delivery) {
	h.record.cost = d.Held()
	h.record.serving.at.host.Charge(h.record.cost)
	h.record.serving.at.tell(parkedEvent{what: parkedRefused, record: h.record})
}

// parkedLane is the lane of a parked record, and for which deployment and flusher entry
// it is; ours says that it is for this deployment.
func parkedLane(m *queue.Message, deployment string) (lane queue.Lane, to string, ours bool) {
	to, _ = m.Header(queue.HeaderTo)
	who, entry, _ := strings.Cut(to, "/")
	lane.Route, lane.Flusher, ours = strings.Cut(entry, "/")
	lane.Project, _ = m.Header(headerProject)
	lane.Logstore, _ = m.Header(headerLogstore)
	lane.Config, _ = m.Header(headerConfig)
	return lane, to, ours && who == deployment
}

// putAgain is the record as it is put at the tail: it has moved once more.
func (r *parkedRecord) putAgain() queue.Message {
	m := r.message
	moves, _ := m.Header(queue.HeaderMoves)
	n, _ := strconv.Atoi(moves) // what is no number begins anew
	m.Headers = setHeader(m.Headers, queue.HeaderMoves, strconv.Itoa(n+1))
	m.Subject = r.lane.name
	return m
}

// setHeader is a copy of headers in which one has a value.
func setHeader(headers []queue.Header, name, value string) []queue.Header {
	out := slices.Clone(headers)
	for i := range out {
		if strings.EqualFold(out[i].Key, name) {
			out[i].Value = value
			return out
		}
	}
	return append(out, queue.Header{Key: name, Value: value})
}
