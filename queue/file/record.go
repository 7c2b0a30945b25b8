package file

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"time"

	"github.com/flushline/flushline/queue"
)

const (
	magic      = "flushlt1"
	headBytes  = 8
	maxBody    = 1 << 30
	minBody    = 8 + 3 // time and three empty texts
	filePrefix = "letters-"
	fileSuffix = ".fll"
)

// endWord begins the mark behind the last letter of a file that is complete. As the
// length of a record it is too large.
const (
	endWord   = "flushend"
	markBytes = int64(len(endWord)) + 4
)

// endMark is the mark of one file at one place: no value of a letter can look like it
// by intention, since part of the file's name is random.
func endMark(path string, at int64) string {
	sum := binary.LittleEndian.AppendUint64([]byte(filepath.Base(path)), uint64(at))
	return string(binary.LittleEndian.AppendUint32([]byte(endWord), crc32.Checksum(sum, castagnoli)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends a message, stored at that time, as one record.
func appendRecord(b []byte, m *queue.Message, at time.Time) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, headBytes)...)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = appendText(b, m.Subject)
	b = appendText(b, string(m.Key))
	b = binary.AppendUvarint(b, uint64(len(m.Headers)))
	for i := range m.Headers {
		b = appendText(appendText(b, m.Headers[i].Key), m.Headers[i].Value)
	}
	b = append(b, m.Value...)
	body := b[start+headBytes:]
	if len(body) > maxBody {
		return b[:start], errTooLarge
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(body, castagnoli))
	return b, nil
}

var (
	errTooLarge = errors.New("the message is larger than 1 GiB")
	errBody     = errors.New("the record's body does not have the documented form")
)

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeBody reads what appendRecord wrote; the value aliases b.
func decodeBody(b []byte) (m queue.Message, err error) {
	if len(b) < minBody {
		return m, errBody
	}
	m.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
	d := decoder{b: b[8:]}
	m.Subject = d.text()
	if key := d.text(); key != "" {
		m.Key = []byte(key)
	}
	n := d.number()
	if n > uint64(len(d.b))/2 {
		return m, errBody
	}
	for range n {
		m.Headers = append(m.Headers, queue.Header{Key: d.text(), Value: d.text()})
	}
	m.Value = d.b
	if d.bad {
		return m, errBody
	}
	return m, nil
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
