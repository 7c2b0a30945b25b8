package queue

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxChunks bounds what one message may become; its digits are reserved in each
// chunk's header.
const maxChunks = 9999

// Split makes messages that a queue with a limit accepts: m itself if it fits,
// else m with its value compressed (HeaderWrapped), else numbered chunks of the
// compressed value (HeaderPart, HeaderPartOf). size counts a message as the queue
// does, headers included. The first chunk carries all headers, the others only
// what joins them. A Joiner undoes it.
//
// An error means that not even the headers fit; m is then untouched.
func Split(m Message, limit int, size func(*Message) int) ([]Message, error) {
	if size(&m) <= limit {
		return []Message{m}, nil
	}
	whole, err := wrap(m)
	if err != nil {
		return nil, err
	}
	if size(&whole) <= limit {
		return []Message{whole}, nil
	}
	return cut(whole, limit, size)
}

// wrap compresses the value if that makes it smaller.
func wrap(m Message) (Message, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return m, fmt.Errorf("couldn't compress a message of %d bytes: %w", len(m.Value), err)
	}
	z := enc.EncodeAll(m.Value, nil)
	if err := enc.Close(); err != nil {
		return m, fmt.Errorf("couldn't compress a message of %d bytes: %w", len(m.Value), err)
	}
	if len(z) < len(m.Value) {
		m.Value = z
		m.Headers = append(slices.Clip(m.Headers), Header{HeaderWrapped, "zstd"})
	}
	return m, nil
}

func cut(m Message, limit int, size func(*Message) int) ([]Message, error) {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	joint := []Header{
		{HeaderPart, strings.Repeat("9", 9)},
		{HeaderPartOf, hex.EncodeToString(id[:])},
	}
	head, tail := m, m
	head.Value, tail.Value = nil, nil
	head.Headers = append(slices.Clone(m.Headers), joint...)
	tail.Headers = joint
	first, rest := max(limit-size(&head), 0), limit-size(&tail)
	if size(&head) > limit || rest <= 0 {
		return nil, fmt.Errorf("couldn't cut a message into chunks: its headers need %d bytes and the queue takes %d in all", size(&head), limit)
	}
	first = min(first, len(m.Value))
	n := 1 + (len(m.Value)-first+rest-1)/rest
	if n > maxChunks {
		return nil, fmt.Errorf("couldn't cut a message of %d bytes into chunks: %d of %d bytes are too many (at most %d)", len(m.Value), n, rest, maxChunks)
	}
	parts := make([]Message, n)
	value := m.Value
	for i := range parts {
		parts[i] = tail
		take := min(rest, len(value))
		if i == 0 {
			parts[i], take = head, first
		}
		parts[i].Headers = slices.Clone(parts[i].Headers)
		parts[i].Headers[len(parts[i].Headers)-2].Value = strconv.Itoa(i+1) + "/" + strconv.Itoa(n)
		parts[i].Value, value = value[:take], value[take:]
	}
	return parts, nil
}

// PartNumber reads HeaderPart: chunk i of n.
func PartNumber(s string) (i, n int, err error) {
	a, b, ok := strings.Cut(s, "/")
	i, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || i < 1 || i > n || n > maxChunks {
		return 0, 0, fmt.Errorf("%s is %q, want a chunk's number such as 2/3", HeaderPart, s)
	}
	return i, n, nil
}
