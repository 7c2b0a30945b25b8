package file

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// When a letter file was written, for telling a record from other bytes.
var (
	earliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	latest   = time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
)

const (
	lookBytes  = 64 << 10 // looked through at a time
	startBytes = 4 << 10  // of a record that are looked at before its checksum is; they hold at least subject and key
	triedBytes = 1 << 30  // of a file that are read for checksums of what turns out to be no record
)

// following finds the next record that can be read behind the damage at r.at, or the
// end. The guess is taken if a record, or the end, is there: what the length of a
// damaged record says is then right. Otherwise each byte may be a beginning.
func (r *Reader) following(guess int64) (int64, error) {
	if guess == r.size {
		return guess, nil
	}
	if guess > 0 {
		if ok, err := r.recordAt(guess); ok || err != nil {
			return guess, err
		}
	}
	window := make([]byte, lookBytes+startBytes)
	for from := r.at + 1; from < r.size; from += lookBytes {
		n, err := r.file.ReadAt(window[:min(int64(len(window)), r.size-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, r.failed(err)
		}
		for i := range min(n, lookBytes) {
			at := from + int64(i)
			if at < int64(len(magic)) || !plausible(window[i:n], r.size-at) {
				continue
			}
			if ok, err := r.recordAt(at); ok || err != nil {
				return at, err
			}
			if r.tried > triedBytes {
				return r.size, nil
			}
		}
	}
	return r.size, nil
}

// plausible says whether a record of at most left bytes may begin with b, of which
// there are startBytes unless the file ends.
func plausible(b []byte, left int64) bool {
	if len(b) < headBytes+minBody {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(b))
	at := int64(binary.LittleEndian.Uint64(b[headBytes:]))
	if n < minBody || n > min(left-headBytes, maxBody) || at < earliest || at > latest {
		return false
	}
	d := decoder{b: b[headBytes+8 : min(int64(len(b)), startBytes, headBytes+n)]}
	subject := d.text()
	d.text() // the key
	first := "none"
	if headers := d.number(); headers > 0 {
		first = d.text()
	}
	return !d.bad && printable(subject) && first != "" && printable(first)
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// recordAt says whether a whole record is there.
func (r *Reader) recordAt(at int64) (bool, error) {
	var head [headBytes]byte
	if r.size-at < headBytes+minBody {
		return false, nil
	}
	if _, err := r.file.ReadAt(head[:], at); err != nil {
		return false, r.failed(err)
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n < minBody || n > min(r.size-at-headBytes, maxBody) {
		return false, nil
	}
	body := make([]byte, n)
	r.tried += n
	if _, err := r.file.ReadAt(body, at+headBytes); err != nil {
		return false, r.failed(err)
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return false, nil
	}
	_, err := decodeBody(body)
	return err == nil, nil
}
