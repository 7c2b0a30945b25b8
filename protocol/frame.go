package protocol

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Frames are our own way to put LogGroups one after the other into a file. Each
// carries the group's ID and key, so that a replay of the file keeps both. All
// integers are little-endian, the checksums CRC-32C:
//
//	 0  4  magic: f1 'L' 'G' and the version, 1
//	 4  4  length of the LogGroup
//	 8 12  lengths of project, logstore and config, 4 bytes each
//	20 16  the ID's origin
//	36  4  the ID's group
//	40  4  checksum of bytes 0 to 40
//	44     project, logstore, config, LogGroup
//	    4  checksum of all before
//
// The head has its own checksum because a wrong length in the middle of a file
// would otherwise look like a file that ends too early.
const (
	frameMagic = "\xf1LG\x01"
	frameHead  = 44
	frameTail  = 4
)

// MaxFrameKey is the longest project, logstore and config together that a
// FrameReader accepts.
const MaxFrameKey = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendFrame appends one frame. data is the LogGroup's protobuf.
func AppendFrame(dst []byte, id ID, key Key, data []byte) []byte {
	dst = slices.Grow(dst, FrameSize(key, len(data)))
	begin := len(dst)
	le := binary.LittleEndian
	dst = append(dst, frameMagic...)
	for _, n := range [4]int{len(data), len(key.Project), len(key.Logstore), len(key.Config)} {
		dst = le.AppendUint32(dst, uint32(n))
	}
	dst = append(dst, id.Origin[:]...)
	dst = le.AppendUint32(dst, id.Group)
	dst = le.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
	dst = append(dst, key.Project...)
	dst = append(dst, key.Logstore...)
	dst = append(dst, key.Config...)
	dst = append(dst, data...)
	return le.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
}

// FrameSize is how many bytes AppendFrame appends.
func FrameSize(key Key, data int) int {
	return frameHead + len(key.Project) + len(key.Logstore) + len(key.Config) + data + frameTail
}

// ErrTorn says that the file ends inside a frame, as after a crash: what is
// before FrameReader.Offset is whole, the rest never was acknowledged. A file
// whose last pages were never written (zeros to its end) is torn, too.
var ErrTorn = errors.New("the file ends inside a frame")

// CorruptFrameError says that bytes inside the file are not what was written.
type CorruptFrameError struct {
	Offset int64 // where the frame begins
	Reason string
}

func (e *CorruptFrameError) Error() string {
	return fmt.Sprintf("corrupt frame at byte %d: %s", e.Offset, e.Reason)
}

// Frame is one LogGroup of a file. Its memory is its own.
type Frame struct {
	Offset int64 // where it begins
	ID     ID
	Key    Key
	Data   []byte // the LogGroup's protobuf; not scanned
}

// FrameReader reads frames one after the other. Not for concurrent use.
type FrameReader struct {
	r      *bufio.Reader
	max    int64
	offset int64
	err    error
}

// NewFrameReader reads from r, which it buffers. A frame whose LogGroup is longer
// than max bytes is corrupt; max 0 is 64 MiB. Whatever a frame claims, memory is
// only taken as its bytes arrive.
func NewFrameReader(r io.Reader, max int64) *FrameReader {
	if max <= 0 {
		max = 64 << 20
	}
	return &FrameReader{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// Offset is how many bytes of whole frames were read: where the next one begins,
// and where a torn file has to be cut.
func (r *FrameReader) Offset() int64 { return r.offset }

// Next returns io.EOF after the last frame, an error that wraps ErrTorn, a
// *CorruptFrameError, or what the reader failed with. Errors are final.
func (r *FrameReader) Next() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err = err
		return Frame{}, err
	}
	r.offset += int64(FrameSize(f.Key, len(f.Data)))
	return f, nil
}

func (r *FrameReader) next() (Frame, error) {
	var head [frameHead]byte
	n, err := io.ReadFull(r.r, head[:])
	switch {
	case err == io.EOF:
		return Frame{}, io.EOF
	case n > 0 && string(head[:min(n, len(frameMagic))]) != frameMagic[:min(n, len(frameMagic))]:
		return Frame{}, r.notAFrame(head[:n], err)
	case err != nil:
		return Frame{}, r.ended(err)
	case binary.LittleEndian.Uint32(head[40:]) != crc32.Checksum(head[:40], castagnoli):
		return Frame{}, r.wrongSum(head[40:], false, "the checksum of its head is wrong")
	}
	return r.body(head[:])
}

func (r *FrameReader) body(head []byte) (Frame, error) {
	n := framed(head)
	if reason := n.tooLong(r.max); reason != "" {
		return Frame{}, r.corrupt(reason)
	}
	b, err := r.read(int(n.key() + n.data + frameTail))
	if err != nil {
		return Frame{}, r.ended(err)
	}
	f, tail, ok := n.frame(head, b)
	if !ok {
		return Frame{}, r.wrongSum(tail, true, wrongFrameSum)
	}
	f.Offset = r.offset
	return f, nil
}

const wrongFrameSum = "its checksum is wrong"

// frameLengths are the lengths in a head.
type frameLengths struct{ data, project, logstore, config int64 }

func framed(head []byte) frameLengths {
	le := binary.LittleEndian
	return frameLengths{
		data: int64(le.Uint32(head[4:])), project: int64(le.Uint32(head[8:])),
		logstore: int64(le.Uint32(head[12:])), config: int64(le.Uint32(head[16:])),
	}
}

func (n *frameLengths) key() int64 { return n.project + n.logstore + n.config }

func (n *frameLengths) tooLong(max int64) (reason string) {
	if key := n.key(); n.data > max || key > MaxFrameKey {
		return fmt.Sprintf("its LogGroup of %d bytes or key of %d is longer than allowed (%d and %d)", n.data, key, max, MaxFrameKey)
	}
	return ""
}

// frame makes the frame of a head and what follows it, unless the checksum at its
// tail is wrong. Data aliases b.
func (n *frameLengths) frame(head, b []byte) (f Frame, tail []byte, ok bool) {
	key := n.key()
	body, tail := b[:key+n.data], b[key+n.data:]
	if binary.LittleEndian.Uint32(tail) != crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, body) {
		return f, tail, false
	}
	f.Data = body[key:len(body):len(body)]
	copy(f.ID.Origin[:], head[20:])
	f.ID.Group = binary.LittleEndian.Uint32(head[36:])
	f.Key = Key{
		Project:  string(body[:n.project]),
		Logstore: string(body[n.project : n.project+n.logstore]),
		Config:   string(body[n.project+n.logstore : key]),
	}
	return f, tail, true
}

// read takes memory in steps, so that a claim of 64 MiB in a file of 50 bytes
// costs 1 MiB.
func (r *FrameReader) read(n int) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		m, err := io.ReadFull(r.r, b[len(b):cap(b)])
		b = b[:len(b)+m]
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ended explains an error inside a frame.
func (r *FrameReader) ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w that begins at byte %d", ErrTorn, r.offset)
	}
	return fmt.Errorf("couldn't read the frame at byte %d: %w", r.offset, err)
}

// notAFrame explains a head without our magic; err is why it is short, if it is.
func (r *FrameReader) notAFrame(head []byte, err error) error {
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return r.ended(err)
	}
	same := 0
	for same < len(head) && same < len(frameMagic) && head[same] == frameMagic[same] {
		same++
	}
	reason := "it does not begin like a frame"
	if same == len(frameMagic)-1 {
		reason = fmt.Sprintf("version %d is not known; a newer flushline wrote it", head[same])
	}
	if !zeros(head[same:]) {
		return r.corrupt(reason)
	}
	return r.wrongSum(head[same:], false, reason)
}

// wrongSum tells a tail that was never written from bytes that changed: a file
// system that lost power gives zeros from some page to the end of the file. seen
// is where the checksum should be, and a page may begin inside it. If the frame
// is whole and nothing follows, it must be zero altogether: one in 256 checksums
// ends in zero, and damage must not pass for a tail that may be cut off.
func (r *FrameReader) wrongSum(seen []byte, whole bool, reason string) error {
	if seen[len(seen)-1] != 0 {
		return r.corrupt(reason)
	}
	torn := !whole || zeros(seen)
	buf := make([]byte, 4<<10)
	for {
		n, err := r.r.Read(buf)
		torn = torn || n > 0
		switch {
		case !zeros(buf[:n]), err != nil && !torn:
			return r.corrupt(reason)
		case err != nil:
			return r.ended(err)
		}
	}
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (r *FrameReader) corrupt(reason string) error {
	return &CorruptFrameError{Offset: r.offset, Reason: reason}
}
