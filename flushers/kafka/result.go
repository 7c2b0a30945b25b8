package kafka

import (
	"errors"

	"github.com/flushline/flushline/flushers"
)

// result is what came of each group. A group of several records is stored when all are;
// of several failures it has the one that may pass, as a dead letter is for ever.
func (l *load) result(m *metrics) error {
	var failed map[int]error
	stored, bytes := int64(0), int64(0)
	for i := range l.messages {
		msg := &l.messages[i]
		if msg.Err == nil {
			stored, bytes = stored+1, bytes+int64(len(msg.Record.Value))
			continue
		}
		if failed == nil {
			failed = map[int]error{}
		}
		if was := failed[l.of[i]]; was == nil || final(was) && !final(msg.Err) {
			failed[l.of[i]] = msg.Err
		}
	}
	m.records.Add(stored)
	m.bytes.Add(bytes)
	if failed == nil {
		return nil
	}
	m.failed.Add(int64(len(l.messages)) - stored)
	return l.summed(failed)
}

// final says that an error makes a dead letter.
func final(err error) bool {
	class, _ := flushers.Classify(err)
	return class == flushers.ClassPermanent || class == flushers.ClassTooLarge
}

// summed is one error where all groups failed in the same way: the worker then keeps
// the batch as it is.
func (l *load) summed(failed map[int]error) error {
	if len(failed) == l.groups {
		same := failed[0]
		for _, err := range failed {
			if !errors.Is(err, same) {
				return &flushers.PartialError{Failed: failed}
			}
		}
		if !final(same) {
			return same
		}
	}
	return &flushers.PartialError{Failed: failed}
}
