package worker_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/flushline/flushline/flushers"
)

// What a Flush answers.
const (
	answerOK = iota
	answerDown
	answerLater // RetryAfter
	answerMisconfigured
	answerTooLarge // more than two groups
	answerPartial
	answerPanics
	answerSpoilt // a plain error, of a batch with a group that is spoilt
	answerKinds
)

const (
	poisonous = 7  // every seventh group can never be flushed
	spoilt    = 11 // every eleventh spoils its batch while the destination is picky
)

func isPoison(id string) bool { return isNth(id, poisonous) }

func isSpoilt(id string) bool { return isNth(id, spoilt) }

func isNth(id string, of int) bool {
	n, err := strconv.Atoi(id)
	return err != nil || n%of == of-1
}

var errPanics = errors.New("it panics")

// coin is chance that does not depend on the order of calls.
func (d *debts) coin(id string, try int) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, d.coins, id, try)
	return h.Sum64() >> 8
}

// answer is what the destination says to a batch.
func (d *debts) answer(l *debtor, o *owed) error {
	poison := slices.ContainsFunc(o.ids, isPoison)
	switch {
	case l.does == answerDown || l.does == answerSpoilt && slices.ContainsFunc(o.ids, isSpoilt):
		return errDown
	case l.does == answerLater:
		return flushers.RetryAfter(errDown, l.after)
	case l.does == answerMisconfigured:
		return flushers.Misconfigured(errDown)
	case l.does == answerTooLarge && len(o.ids) > 2:
		return flushers.TooLarge(errDown)
	case l.does == answerPartial:
		failed := map[int]error{}
		for i, id := range o.ids {
			switch {
			case isPoison(id):
				failed[i] = flushers.Permanent(errDown)
			case d.coin(id, o.tries)%2 == 0:
				failed[i] = errDown
			}
		}
		if len(failed) > 0 {
			return &flushers.PartialError{Failed: failed}
		}
	case poison:
		return flushers.Permanent(errDown)
	case l.does == answerPanics:
		return errPanics
	}
	return nil
}
