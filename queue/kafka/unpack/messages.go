// Package unpack makes messages of records, for everything that hands out what lies
// in a log.
package unpack

import (
	"bytes"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
)

// Messages makes messages of the records of one reader. The zero value is ready; it
// is for one goroutine.
type Messages struct{ headers headers }

// Of makes the message of a record, which shares no memory with it, and finds the
// origin that it brings along.
//
// A record that is larger than record.Decoder.Max comes compressed (Record.Wrapped),
// and the message's content-encoding says so. It is false where the headers say
// already how the value is encoded: that record cannot be handed out in any form.
func (c *Messages) Of(topic string, partition int32, r *record.Record) (m queue.Message, origin queue.Origin, brought, ok bool) {
	list, origin, brought := c.headers.of(r.Headers)
	if r.Wrapped {
		if list = wrap(list); list == nil {
			return m, origin, brought, false
		}
	}
	m = queue.Message{
		Headers:   list,
		Subject:   topic,
		Partition: partition,
		Position:  r.Offset,
		Time:      time.UnixMilli(max(r.Time, 0)),
	}
	m.Value, m.Key = own(r.Value, r.Key)
	return m, origin, brought, true
}

// own copies value and key out of an answer into one allocation.
func own(value, key []byte) (v, k []byte) {
	if len(key) == 0 {
		if value != nil {
			v = make([]byte, len(value)) // with copy next to it, nothing is zeroed first
			copy(v, value)
		}
		return v, bytes.Clone(key)
	}
	both := make([]byte, len(value)+len(key))
	copy(both, value)
	copy(both[len(value):], key)
	if value != nil {
		v = both[:len(value):len(value)]
	}
	return v, both[len(value):]
}

// slots bounds how many answers of the process are taken apart at once: each is
// memory beside the budget.
var slots = make(chan struct{}, 2)

// Enter waits for a turn to take an answer apart; leave ends it.
func Enter() (leave func()) {
	slots <- struct{}{}
	return leaveSlot
}

func leaveSlot() { <-slots }
