package record

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// filter knows which producers' transactional batches are to be left out at the
// offset reached so far (KIP-98): from the first offset of an aborted transaction
// to the producer's next abort marker.
type filter struct {
	coming []wire.AbortedTransaction // by first offset, not reached yet
	own    []wire.AbortedTransaction // the memory of coming
	open   map[int64]struct{}        // producers inside an aborted transaction
}

func (f *filter) reset(list []wire.AbortedTransaction) {
	f.own = append(f.own[:0], list...)
	slices.SortFunc(f.own, func(a, b wire.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	f.coming = f.own
	clear(f.open)
}

// reach takes up the transactions that begin at or before an offset.
func (f *filter) reach(offset int64) {
	for len(f.coming) > 0 && f.coming[0].FirstOffset <= offset {
		if f.open == nil {
			f.open = make(map[int64]struct{})
		}
		f.open[f.coming[0].ProducerID] = struct{}{}
		f.coming = f.coming[1:]
	}
}

func (f *filter) aborted(b *batch) bool {
	if len(f.open) == 0 || !b.transactional() {
		return false
	}
	_, in := f.open[b.producer]
	return in
}

// aborts reports whether the key of a control record is that of an abort marker:
// a version and a type of 16 bits each, type 0. Other types (1 commit, and those
// that Kafka keeps for itself) and later versions with more behind them are known
// by the same four bytes.
func aborts(key []byte) bool {
	return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 0
}
