package file

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue"
)

// LetterFiles are the letter files of a directory, oldest first.
func LetterFiles(dir string) ([]string, error) {
	files, err := listed(dir, fileSuffix)
	if err != nil {
		return nil, fmt.Errorf("couldn't list dead letters: %w", err)
	}
	return files, nil
}

// listed are our files with that end, in order of their names.
func listed(dir, end string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, filePrefix) && strings.HasSuffix(name, end) {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, err
}

// CorruptError says that a file holds something else than letters where a letter
// should be. The next letter that can be read begins Length bytes on.
type CorruptError struct {
	File   string
	Offset int64
	Length int64
	Why    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("letter file %s is damaged at offset %d, for %d bytes: %s", e.File, e.Offset, e.Length, e.Why)
}

// Reader reads the letters of one file, as far as it was written when it was opened.
// It is for one goroutine.
type Reader struct {
	file  *os.File
	buf   *bufio.Reader
	size  int64 // of what holds letters: without the end mark
	at    int64 // offset of the next record; 0: the magic is to be read
	torn  int64
	ended bool
	tried int64 // bytes that were read to find a record behind damage
}

// OpenReader opens a letter file.
func OpenReader(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't open letter file: %w", err)
	}
	r := &Reader{file: f, buf: bufio.NewReaderSize(f, 64<<10)}
	if err := r.measure(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

// measure finds out how much there is, and whether the writer is done.
func (r *Reader) measure() error {
	st, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("couldn't read letter file: %w", err)
	}
	r.size = st.Size()
	at := r.size - markBytes
	if at < int64(len(magic)) {
		return nil
	}
	tail := make([]byte, markBytes)
	if _, err := r.file.ReadAt(tail, at); err != nil {
		return r.failed(err)
	}
	if string(tail) == endMark(r.file.Name(), at) {
		r.ended, r.size = true, at
	}
	return nil
}

func (r *Reader) failed(err error) error { return fmt.Errorf("couldn't read letter file: %w", err) }

// Next returns the next letter; Position is its offset in the file. io.EOF is the
// end: Torn then says whether a half-written letter was passed over. After a
// *CorruptError, and only after that, reading goes on with the next call.
func (r *Reader) Next() (queue.Message, error) {
	if r.at == 0 && r.size > 0 {
		if err := r.begin(); err != nil {
			return queue.Message{}, err
		}
	}
	if r.at >= r.size {
		return queue.Message{}, io.EOF
	}
	body, err := r.body()
	if err != nil {
		return queue.Message{}, err
	}
	m, err := decodeBody(body)
	if err != nil {
		return queue.Message{}, r.corrupt(r.at+headBytes+int64(len(body)), err.Error())
	}
	m.Position = r.at
	r.at += headBytes + int64(len(body))
	return m, nil
}

// begin reads the magic.
func (r *Reader) begin() error {
	head := make([]byte, min(r.size, int64(len(magic))))
	if _, err := io.ReadFull(r.buf, head); err != nil {
		return r.failed(err)
	}
	switch {
	case string(head) == magic[:len(head)]:
		r.at = int64(len(head))
		return nil
	case allZero(head):
		return r.zeros()
	}
	return r.corrupt(0, "it does not begin with "+magic)
}

func (r *Reader) body() ([]byte, error) {
	left := r.size - r.at
	if left < headBytes {
		return nil, r.tear("it ends within a record")
	}
	var head [headBytes]byte
	if _, err := io.ReadFull(r.buf, head[:]); err != nil {
		return nil, r.failed(err)
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	switch {
	case allZero(head[:]):
		return nil, r.zeros()
	case string(head[:]) == endWord && left == markBytes:
		return nil, r.tear("the mark of another file") // somebody renamed it
	case n > maxBody || n < minBody:
		return nil, r.corrupt(0, fmt.Sprintf("a record of %d bytes", n))
	case n > left-headBytes:
		return nil, r.tear(fmt.Sprintf("a record of %d bytes where %d are left", n, left-headBytes))
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.buf, body); err != nil {
		return nil, r.failed(err)
	}
	if crc32.Checksum(body, castagnoli) == binary.LittleEndian.Uint32(head[4:]) {
		return body, nil
	}
	const why = "the checksum of a record does not match"
	if n == left-headBytes {
		return nil, r.tear(why)
	}
	return nil, r.corrupt(r.at+headBytes+n, why)
}

// zeros: a crash may leave a file longer than what reached the disk.
func (r *Reader) zeros() error {
	for {
		c, err := r.buf.ReadByte()
		if errors.Is(err, io.EOF) {
			return r.tear("zeros where a record should begin")
		}
		if err != nil {
			return r.failed(err)
		}
		if c != 0 {
			return r.corrupt(0, "zeros where a record should begin")
		}
	}
}

func allZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// tear is the end of a file that was cut off there, unless its writer ended it or
// letters follow: then it is damaged.
func (r *Reader) tear(why string) error {
	next, err := r.following(0)
	if err != nil {
		return err
	}
	if r.ended || next < r.size {
		return r.skip(next, why)
	}
	r.torn = r.size - r.at
	r.at = r.size
	return io.EOF
}

// corrupt passes over what cannot be read; guess is where the next record should
// begin, 0 if nobody knows.
func (r *Reader) corrupt(guess int64, why string) error {
	next, err := r.following(guess)
	if err != nil {
		return err
	}
	return r.skip(next, why)
}

func (r *Reader) skip(next int64, why string) error {
	err := &CorruptError{r.file.Name(), r.at, next - r.at, why}
	r.at = next
	r.buf.Reset(io.NewSectionReader(r.file, next, r.size-next))
	return err
}

// Torn is how many bytes of a letter that was never confirmed lie at the end.
func (r *Reader) Torn() int64 { return r.torn }

// Ended says that the writer will not add to the file.
func (r *Reader) Ended() bool { return r.ended }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
