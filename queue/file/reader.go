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

	"github.com/flushline/flushline/queue"
)

// LetterFiles are the letter files of a directory, oldest first.
func LetterFiles(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "letters-*"+fileSuffix))
	if err != nil {
		return nil, fmt.Errorf("couldn't list dead letters: %w", err)
	}
	slices.Sort(files)
	return files, nil
}

// CorruptError says that a file holds something else than letters where a letter
// should be. What lies behind it cannot be read.
type CorruptError struct {
	File   string
	Offset int64
	Why    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("letter file %s is damaged at offset %d: %s", e.File, e.Offset, e.Why)
}

// Reader reads the letters of one file. It is for one goroutine.
type Reader struct {
	file *os.File
	buf  *bufio.Reader
	size int64
	at   int64 // offset of the next record
	torn int64
}

// OpenReader opens a letter file.
func OpenReader(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't open letter file: %w", err)
	}
	r := &Reader{file: f, buf: bufio.NewReaderSize(f, 64<<10)}
	if err := r.begin(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) begin() error {
	st, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("couldn't read letter file: %w", err)
	}
	r.size = st.Size()
	head := make([]byte, min(r.size, int64(len(magic))))
	if _, err := io.ReadFull(r.buf, head); err != nil {
		return fmt.Errorf("couldn't read letter file: %w", err)
	}
	if string(head) != magic[:len(head)] {
		return &CorruptError{r.file.Name(), 0, "it does not begin with " + magic}
	}
	r.at = int64(len(head))
	return nil
}

// Next returns the next letter; Position is its offset in the file. io.EOF is the
// end: Torn then says whether a half-written letter was passed over.
func (r *Reader) Next() (queue.Message, error) {
	if r.at >= r.size {
		return queue.Message{}, io.EOF
	}
	body, err := r.body()
	if err != nil {
		return queue.Message{}, err
	}
	m, err := decodeBody(body)
	if err != nil {
		return m, r.corrupt(err.Error())
	}
	m.Position = r.at
	r.at += headBytes + int64(len(body))
	return m, nil
}

func (r *Reader) body() ([]byte, error) {
	left := r.size - r.at
	if left < headBytes {
		return nil, r.tear()
	}
	var head [headBytes]byte
	if _, err := io.ReadFull(r.buf, head[:]); err != nil {
		return nil, fmt.Errorf("couldn't read letter file: %w", err)
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	switch {
	case head == [headBytes]byte{}:
		return nil, r.zeros()
	case n > maxBody || n < minBody:
		return nil, r.corrupt(fmt.Sprintf("a record of %d bytes", n))
	case n > left-headBytes:
		return nil, r.tear()
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.buf, body); err != nil {
		return nil, fmt.Errorf("couldn't read letter file: %w", err)
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		if n == left-headBytes {
			return nil, r.tear()
		}
		return nil, r.corrupt("the checksum of a record does not match")
	}
	return body, nil
}

// zeros: a crash may leave a file longer than what reached the disk.
func (r *Reader) zeros() error {
	for {
		c, err := r.buf.ReadByte()
		if errors.Is(err, io.EOF) {
			return r.tear()
		}
		if err != nil {
			return fmt.Errorf("couldn't read letter file: %w", err)
		}
		if c != 0 {
			return r.corrupt("zeros where a record should begin")
		}
	}
}

func (r *Reader) tear() error {
	r.torn = r.size - r.at
	r.at = r.size
	return io.EOF
}

func (r *Reader) corrupt(why string) error {
	err := &CorruptError{r.file.Name(), r.at, why}
	r.at = r.size
	return err
}

// Torn is how many bytes of a letter that was never confirmed lie at the end.
func (r *Reader) Torn() int64 { return r.torn }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
