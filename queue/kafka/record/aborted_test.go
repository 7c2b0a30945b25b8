package record

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// marker is the control batch that ends a transaction.
func marker(base, producer int64, commit bool) batchOf {
	key := []byte{0, 0, 0, 0}
	if commit {
		key[3] = 1
	}
	b := batchFor(base, transactional|controlBit, rec{key: key, value: []byte{0, 0, 0, 0, 0, 9}})
	b.producer = producer
	return b
}

// txn is a batch of n records of a transaction.
func txn(base, producer int64, n int) batchOf {
	var recs []rec
	for i := range n {
		recs = append(recs, rec{delta: int64(i), value: []byte{byte(producer)}})
	}
	b := batchFor(base, transactional, recs...)
	b.producer = producer
	return b
}

func TestAbortedProducersInterleaved(t *testing.T) {
	t.Parallel()
	plain := batchFor(8, 0, rec{}) // of producer 1, outside of any transaction
	plain.producer = 1
	raw := slices.Concat(
		txn(0, 1, 2).bytes(),         // aborted
		txn(2, 2, 3).bytes(),         // committed
		txn(5, 3, 2).bytes(),         // aborted
		marker(7, 1, false).bytes(),  //
		plain.bytes(),                //
		txn(9, 1, 1).bytes(),         // committed: the transaction before was aborted
		marker(10, 2, true).bytes(),  //
		txn(11, 3, 2).bytes(),        // aborted still
		marker(13, 3, false).bytes(), //
		marker(14, 1, true).bytes(),  //
		txn(15, 3, 1).bytes(),        // aborted: the second transaction of 3 in the list
		marker(16, 3, false).bytes(), //
	)
	list := []wire.AbortedTransaction{{ProducerID: 3, FirstOffset: 15}, {ProducerID: 3, FirstOffset: 5}, {ProducerID: 1, FirstOffset: 0}}
	for _, c := range []struct {
		from    int64
		aborted []wire.AbortedTransaction
		want    []int64
		res     Result
	}{
		{0, list, []int64{2, 3, 4, 8, 9}, Result{Next: 17, Delivered: 5, Control: 5, Aborted: 7}},
		{0, nil, []int64{0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 15}, Result{Next: 17, Delivered: 12, Control: 5}},
		// Going on in the middle: the marker of producer 1 lies below.
		{9, list, []int64{9}, Result{Next: 17, Delivered: 1, Control: 4, Aborted: 3}},
		{12, list, nil, Result{Next: 17, Control: 3, Aborted: 2}},
	} {
		got, res := decoded(new(Decoder), Set{Records: raw, From: c.from, Aborted: c.aborted})
		if diff := cmp.Diff(c.want, offsets(got)); diff != "" {
			t.Errorf("from %d: %s", c.from, diff)
		}
		if diff := cmp.Diff(c.res, res); diff != "" {
			t.Errorf("from %d: %s", c.from, diff)
		}
	}
}

// Compaction takes records from an aborted transaction, and all of its batch but
// the header: what is counted still adds up.
func TestAbortedWithHoles(t *testing.T) {
	t.Parallel()
	b := txn(10, 1, 4)
	b.delta = 9
	got, res := decoded(new(Decoder), Set{Records: b.bytes(), From: 5, Aborted: []wire.AbortedTransaction{{ProducerID: 1, FirstOffset: 3}}})
	if diff := cmp.Diff(Result{Next: 20, Aborted: 4, Compacted: 11}, res); diff != "" || len(got) > 0 {
		t.Error(diff, len(got))
	}
}

// Kafka keeps control records of other types for itself, and may add to the key.
func TestOtherControlRecords(t *testing.T) {
	t.Parallel()
	aborted := []wire.AbortedTransaction{{ProducerID: 1, FirstOffset: 0}}
	for name, c := range map[string]struct {
		key  []byte
		ends bool
	}{
		"abort":                  {[]byte{0, 0, 0, 0}, true},
		"abort, version 1, more": {[]byte{0, 1, 0, 0, 9}, true},
		"commit":                 {[]byte{0, 0, 0, 1}, false},
		"leader change":          {[]byte{0, 0, 0, 2}, false},
		"no key":                 {nil, false},
		"short key":              {[]byte{0, 0}, false},
	} {
		control := batchFor(0, transactional|controlBit, rec{key: c.key})
		control.producer = 1
		got, res := decoded(new(Decoder), Set{Records: append(control.bytes(), txn(1, 1, 1).bytes()...), Aborted: aborted})
		if res.Err != nil || res.Control != 1 || len(got) == 1 != c.ends {
			t.Errorf("%s: %d records, %+v", name, len(got), res)
		}
	}
}
