package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// samples are batches of each kind, one behind the other, with the offset at which
// each ends and the records it hands out.
func samples() (raws [][]byte, aborted []wire.AbortedTransaction) {
	raws = [][]byte{
		message(0, 0, 0, 0, []byte("old"), []byte("older")),
		message(1, int8(gzip), 2, 50, nil, compressed(gzip, slices.Concat(message(1, 0, 0, 7, nil, []byte("in")), message(1, 0, 1, 8, nil, nil)))),
		txn(4, 9, 2).bytes(),
	}
	base := int64(6)
	for c := none; c <= zstandard; c++ {
		b := batchFor(
			base, int16(c),
			rec{0, 1, []byte("key"), []byte(strings.Repeat("value", 5)), []Header{{[]byte("h"), []byte("x")}}},
			rec{2, 2, nil, []byte("v"), nil},
		)
		raws = append(raws, b.bytes())
		base += 4
	}
	raws = append(raws, batchOf{base: base, delta: 1}.bytes(), marker(base+2, 9, false).bytes())
	return raws, []wire.AbortedTransaction{{ProducerID: 9, FirstOffset: 4}}
}

// A set cut anywhere gives exactly the batches that are whole, no error, and says
// how much the first one needs.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	raws, aborted := samples()
	raw := slices.Concat(raws...)
	all, full := decoded(new(Decoder), Set{Records: raw, Aborted: aborted})
	if full.Err != nil || full.Next != 29 || full.Aborted != 2 || full.Control != 1 {
		t.Fatalf("%+v", full)
	}
	for n := 0; n < len(raw); n += thin {
		whole, from := 0, 0
		for from+len(raws[whole]) <= n {
			from += len(raws[whole])
			whole++
		}
		_, want := decoded(new(Decoder), Set{Records: raw[:from], Aborted: aborted})
		got, res := decoded(new(Decoder), Set{Records: raw[:n], Aborted: aborted})
		if n > 0 && whole == 0 {
			want.Need = headerSize
			if n >= prefix {
				want.Need = int64(len(raws[0]))
			}
			want.Need = max(want.Need, headerSize)
		}
		if diff := cmp.Diff(want, res); diff != "" {
			t.Fatalf("%d bytes: %s", n, diff)
		}
		if !slices.EqualFunc(all[:len(got)], got, sameRecord) {
			t.Fatalf("%d bytes: %s", n, cmp.Diff(all[:len(got)], got, equateEmpty))
		}
	}
}

// No single bit that flips gives a record that was not written. A flip is an
// error, or it makes a batch look cut short, or it hit what means nothing to a
// reader; only a flip in a base offset can give right records a wrong place, and
// then only where no batch behind it contradicts.
func TestEveryBitFlip(t *testing.T) {
	t.Parallel()
	raws, aborted := samples()
	raw := slices.Concat(raws...)
	all, _ := decoded(new(Decoder), Set{Records: raw, Aborted: aborted})
	at, batch := 0, 0
	unseen := map[string]int{}
	for i := range raw {
		if i == at+len(raws[batch]) {
			at += len(raws[batch])
			batch++
		}
		for bit := i % thin; bit < 8; bit += thin {
			raw[i] ^= 1 << bit
			got, res := decoded(new(Decoder), Set{Records: raw, Aborted: aborted})
			raw[i] ^= 1 << bit
			inBase := i-at < atSize
			inEpoch := raws[batch][atMagic] == 2 && i-at >= prefix && i-at < atMagic
			switch {
			case inBase:
				if res.Err == nil {
					unseen["base offset"]++
				}
				continue
			case len(got) > len(all) || !slices.EqualFunc(all[:len(got)], got, sameRecord):
				t.Fatalf("byte %d of batch %d, bit %d: %+v: records that nobody wrote: %s", i-at, batch, bit, res, cmp.Diff(all[:min(len(got), len(all))], got))
			case inEpoch:
				unseen["leader epoch"]++
			case res.Err == nil && len(got) == len(all) && batch < len(raws)-2:
				t.Fatalf("byte %d of batch %d, bit %d: not seen", i-at, batch, bit)
			}
			if e := new(Error); res.Err != nil && (!errors.As(res.Err, &e) || e.Offset != res.Next) {
				t.Fatalf("%+v", res)
			}
		}
	}
	t.Logf("%d flips, without consequence or not seen: %v", 8*len(raw), unseen)
}

// What a base offset that was damaged does: it is an error wherever it contradicts
// the batch behind it.
func TestBaseOffsetsThatContradictEachOther(t *testing.T) {
	t.Parallel()
	first, second := batchFor(10, 0, rec{}, rec{delta: 3}), batchFor(14, 0, rec{})
	for name, c := range map[string]struct {
		base1, base2 int64
		want         string
		next         int64
		records      int
	}{
		"right":           {10, 14, "", 15, 3},
		"first too high":  {11, 14, "couldn't read offset 10 (batch at 11, none): malformed: it ends at offset 14 and the batch behind it begins at 14", 10, 0},
		"second too low":  {10, 13, "couldn't read offset 10 (batch at 10, none): malformed: it ends at offset 13 and the batch behind it begins at 13", 10, 0},
		"first negative":  {-10, 14, "couldn't read offset 10 (batch at -10, none): malformed: no batch begins at offset -10", 10, 0},
		"second negative": {10, -14, "couldn't read offset 10 (batch at 10, none): malformed: it ends at offset 13 and the batch behind it begins at -14", 10, 0},
		"past all":        {10, math.MaxInt64 - 5, "couldn't read offset 14 (batch at 9223372036854775802, none): malformed: no batch begins at offset 9223372036854775802", 14, 2},
	} {
		first.base, second.base = c.base1, c.base2
		got, res := decoded(new(Decoder), Set{Records: append(first.bytes(), second.bytes()...), From: 10})
		text := ""
		if res.Err != nil {
			text = res.Err.Error()
		}
		if text != c.want || res.Next != c.next || len(got) != c.records {
			t.Errorf("%s: %d records, next %d, %q", name, len(got), res.Next, text)
		}
	}
}

// Each lie is found behind one good batch, which is handed out whole, and the
// error says what, where, and from where on to read if it is given up.
func TestLies(t *testing.T) {
	t.Parallel()
	good := batchFor(5, 0, rec{value: []byte("good")}).bytes()
	two := func(change func(*batchOf)) []byte {
		b := batchFor(6, 0, rec{value: []byte("one")}, rec{delta: 1, value: []byte("two")})
		change(&b)
		return b.bytes()
	}
	raw := func(change func([]byte)) []byte {
		b := two(func(*batchOf) {})
		change(b)
		return b
	}
	size := func(n int32) []byte {
		return raw(func(b []byte) { binary.BigEndian.PutUint32(b[atSize:], uint32(n)) })
	}
	record := func(body ...byte) []byte { // one record of those bytes
		return two(func(b *batchOf) {
			b.count, b.body = 1, append(binary.AppendVarint(nil, int64(len(body))), body...)
		})
	}
	for _, c := range []struct {
		name  string
		raw   []byte
		class error
		want  string
		past  int64
		read  int64 // records of it that were handed out
	}{
		{"negative size", size(-1), ErrMalformed, "it says that it is 11 bytes long, and no batch has less than 61", 0, 0},
		{"size of a header less a byte", size(headerSize - prefix - 1), ErrMalformed, "it says that it is 60 bytes long, and no batch has less than 61", 0, 0},
		{"magic", raw(func(b []byte) { b[atMagic] = 3 }), ErrUnsupported, "its magic 3 is not supported (0, 1 and 2 are)", 0, 0},
		{"negative magic", raw(func(b []byte) { b[atMagic] = 0xff }), ErrUnsupported, "its magic -1 is not supported (0, 1 and 2 are)", 0, 0},
		{"checksum", raw(func(b []byte) { b[len(b)-1]++ }), ErrChecksum, "checksum is wrong: ", 0, 0},
		{"codec", two(func(b *batchOf) { b.attrs = 7 }), ErrUnsupported, "its compression is not supported (codecs 0 to 4 are)", 8, 0},
		{"negative count", two(func(b *batchOf) { b.count = -1 }), ErrMalformed, "-1 records in 2 offsets", 0, 0},
		{"more records than offsets", two(func(b *batchOf) { b.delta = 0 }), ErrMalformed, "2 records in 1 offsets", 0, 0},
		{"negative last offset", two(func(b *batchOf) { b.delta = -1 }), ErrMalformed, "2 records in 0 offsets", 0, 0},
		{"count too high", two(func(b *batchOf) { b.count, b.delta = 3, 2 }), ErrMalformed, "it ends inside a record", 9, 2},
		{"count far too high", two(func(b *batchOf) { b.count, b.delta = math.MaxInt32, math.MaxInt32-1 }), ErrMalformed, "it ends inside a record", 6 + math.MaxInt32, 2},
		{"count too low", two(func(b *batchOf) { b.count = 1 }), ErrMalformed, "bytes follow its last record", 8, 1},
		{"count 0, and bytes", two(func(b *batchOf) { b.count = 0 }), ErrMalformed, "bytes follow its last record", 8, 0},
		{"same offset again", two(func(b *batchOf) { b.body = append(appendRec(nil, rec{}), appendRec(nil, rec{})...) }), ErrMalformed, "a record with offset 6+0, after +0, in a batch that ends at +1", 8, 1},
		{"offset beyond the last", two(func(b *batchOf) { b.body = appendRec(nil, rec{delta: 2}) }), ErrMalformed, "a record with offset 6+2, after +-1, in a batch that ends at +1", 8, 0},
		{"negative offset", two(func(b *batchOf) { b.body = appendRec(nil, rec{delta: -1}) }), ErrMalformed, "a record with offset 6+-1, after +-1, in a batch that ends at +1", 8, 0},
		{"negative record length", two(func(b *batchOf) { b.body = []byte{1} }), ErrMalformed, "a record of -1 bytes", 8, 0},
		{"record length above 2 GiB", two(func(b *batchOf) { b.body = binary.AppendVarint(nil, math.MaxInt32+1) }), ErrMalformed, "a record of 2147483648 bytes", 8, 0},
		{"record length without end", two(func(b *batchOf) { b.body = slices.Repeat([]byte{0x80}, 30) }), ErrMalformed, "a number of more than 64 bits", 8, 0},
		{"empty record", record(), ErrMalformed, "it ends inside a record", 8, 0},
		{"record ends before the key", record(0, 0, 0), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"key length -2", record(0, 0, 0, 3, 1, 0), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"key beyond the record", record(0, 0, 0, 100, 1, 0), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"negative header count", record(0, 0, 0, 1, 1, 1), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"header count too high", record(0, 0, 0, 1, 1, 100), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"header without key", record(0, 0, 0, 1, 1, 2, 1, 1), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"bytes behind the headers", record(0, 0, 0, 1, 1, 0, 0), ErrMalformed, "the lengths inside a record do not add up to its own", 7, 0},
		{"too many headers", record(slices.Concat([]byte{0, 0, 0, 1, 1}, binary.AppendVarint(nil, 70_000), slices.Repeat([]byte{0, 1}, 70_000))...), ErrTooLarge, "too large: 70000 headers in one record (at most 65536)", 7, 0},
	} {
		got, res := decoded(new(Decoder), Set{Records: append(slices.Clone(good), c.raw...), From: 5})
		var e *Error
		if !errors.As(res.Err, &e) {
			t.Errorf("%s: no error, %+v", c.name, res)
			continue
		}
		if !errors.Is(e, c.class) || !strings.Contains(e.Error(), c.want) || e.Past != c.past || e.Base != 6 {
			t.Errorf("%s: past %d, %v", c.name, e.Past, e)
		}
		if e.Offset != 6+c.read || res.Next != e.Offset || res.Delivered != 1+c.read || string(got[0].Value) != "good" {
			t.Errorf("%s: %+v", c.name, res)
		}
	}
}

// A control record whose bytes make no sense is not passed over in silence: it may
// have been the end of an aborted transaction.
func TestControlRecordsThatLie(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"no record":      {},
		"negative":       {1},
		"cut short":      {2 * 20, 0, 0},
		"ends in itself": {2 * 3, 0, 0, 0},
		"huge":           binary.AppendVarint(nil, 1<<30),
	} {
		b := marker(0, 1, false)
		b.body = body
		_, res := decoded(new(Decoder), Set{Records: b.bytes()})
		if !errors.Is(res.Err, ErrMalformed) || res.Next != 0 {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// Damage inside a compressed stream, under a checksum that is right: a broken
// producer. What was read before is handed out; the error names codec and offset.
func TestCompressedDamage(t *testing.T) {
	t.Parallel()
	var recs []rec
	for i := range 400 {
		recs = append(recs, rec{delta: int64(i), value: fmt.Appendf(nil, "%d %x", i, i*i*i*7919)})
	}
	for c := gzip; c <= zstandard; c++ {
		b := batchFor(50, int16(c), recs...)
		raw := b.bytes()
		all, _ := decoded(new(Decoder), Set{Records: raw, From: 50})
		if len(all) != 400 {
			t.Fatalf("%v: %d records", c, len(all))
		}
		tried, broken := 0, 0
		for i := headerSize; i < len(raw); i += thin * thin {
			tried++
			bad := slices.Clone(raw)
			bad[i] ^= 0x55
			_, res := decoded(new(Decoder), Set{Records: sealed(bad), From: 50})
			if res.Err == nil {
				continue // snappy has no checksum; others have bytes that mean nothing
			}
			broken++
			var e *Error
			if !errors.As(res.Err, &e) || e.Codec != c.String() || e.Offset != 50+res.Delivered+res.Compacted || !strings.Contains(e.Error(), c.String()) {
				t.Fatalf("%v: byte %d: %+v", c, i, res)
			}
		}
		if broken < tried/4 {
			t.Errorf("%v: only %d of %d damaged bytes were seen", c, broken, tried)
		}
		cut := b
		cut.attrs, cut.body = int16(none), compressed(c, b.body)
		cut.body = cut.body[:len(cut.body)-len(cut.body)/3]
		short := cut.bytes()
		short[atAttrs+1] = byte(c)
		_, res := decoded(new(Decoder), Set{Records: sealed(short), From: 50})
		if !errors.Is(res.Err, ErrMalformed) {
			t.Errorf("%v: cut short: %+v", c, res)
		}
	}
}
