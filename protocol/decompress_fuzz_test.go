package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// FuzzDecompress: whatever comes, and whatever size it claims, is an error or within
// the limits, in memory too; and what was compressed comes back.
func FuzzDecompress(f *testing.F) {
	plain := bytes.Repeat([]byte("a log line, "), 40)
	for e := EncodingGzip; e <= EncodingSnappy; e++ {
		z, err := Compress(nil, plain, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(z, uint8(e), uint16(1000), uint8(10))
		f.Add(z[:len(z)/2], uint8(e), uint16(100), uint8(0))
		f.Add(plain, uint8(e), uint16(0), uint8(1))
	}
	f.Fuzz(func(t *testing.T, value []byte, encoding uint8, most uint16, ratio uint8) {
		e := EncodingGzip + Encoding(encoding)%(EncodingSnappy-EncodingGzip+1)
		lim := &Limits{Decompressed: 1 + int64(most), Ratio: 1 + int(ratio)}
		bound, _ := lim.decompressed(len(value))
		body, err := decompress(value, e, lim)
		var u *UndecodableError
		switch {
		case err != nil && (!errors.As(err, &u) || strings.Contains(err.Error(), "panicked")):
			t.Fatalf("%T: %v", err, err)
		case err == nil && int64(len(body)) > bound:
			t.Fatalf("%d bytes, the limits allow %d", len(body), bound)
		case err == nil && cap(body) > 2*len(body)+firstBytes:
			t.Fatalf("%d bytes take %d", len(body), cap(body))
		}
		z, err := Compress(nil, value, e)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decompress(z, e, &Limits{Decompressed: 1 << 30, Ratio: 1 << 30}); err != nil || !bytes.Equal(back, value) {
			t.Fatalf("%d bytes came back as %d, %v", len(value), len(back), err)
		}
	})
}
