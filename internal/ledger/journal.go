package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/flushline/flushline/protocol"
)

// Journal is the producer's side of the ledger: an append-only file with a line
// for each group before it is published and another once the broker confirmed
// it. Safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	file *os.File
	next uint64
}

// OpenJournal opens or makes a journal; groups go on being numbered where it
// ends.
func OpenJournal(path string) (*Journal, error) {
	book, err := LoadBook(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the ledger's journal: %w", err)
	}
	return &Journal{file: f, next: uint64(len(book))}, nil
}

// Close ends writing.
func (j *Journal) Close() error { return j.file.Close() }

// Tried is how many groups were numbered so far: the next one's number.
func (j *Journal) Tried() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// try numbers a group and writes it down before it is published.
func (j *Journal) try(load *Load) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.next
	key := load.key(n)
	_, err := fmt.Fprintf(j.file, "t %d %d %q %q %q\n", n, load.logs(n), key.Project, key.Logstore, key.Config)
	if err != nil {
		return 0, fmt.Errorf("couldn't write the ledger's journal: %w", err)
	}
	j.next++
	return n, nil
}

// confirm writes down that the broker stored a group.
func (j *Journal) confirm(n uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := fmt.Fprintf(j.file, "c %d\n", n); err != nil {
		return fmt.Errorf("couldn't write the ledger's journal: %w", err)
	}
	return nil
}

// Book is a journal read back: the groups by number.
type Book []Entry

// Entry is one group that was tried.
type Entry struct {
	Key       protocol.Key
	Logs      int
	Confirmed bool
}

// LoadBook reads a journal. A torn last line, of a producer that was killed, is
// passed over: what it would have said was not acted upon.
func LoadBook(path string) (Book, error) {
	var book Book
	err := eachLine(path, func(line string) error {
		if line[0] == 'm' {
			return nil // see LoadMarks
		}
		return book.apply(line)
	})
	if err != nil {
		return nil, err
	}
	return book, nil
}

func eachLine(path string, apply func(line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("couldn't open the ledger's journal: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("couldn't read the ledger's journal: %w", err)
		}
		if err := apply(line); err != nil {
			return fmt.Errorf("couldn't read the ledger's journal %s: line %q: %w", path, line, err)
		}
	}
}

func (b *Book) apply(line string) error {
	var n uint64
	if _, err := fmt.Sscanf(line, "c %d\n", &n); err == nil {
		if n >= uint64(len(*b)) {
			return fmt.Errorf("group %d was confirmed before it was tried", n)
		}
		(*b)[n].Confirmed = true
		return nil
	}
	var e Entry
	_, err := fmt.Sscanf(line, "t %d %d %q %q %q\n", &n, &e.Logs, &e.Key.Project, &e.Key.Logstore, &e.Key.Config)
	if err != nil {
		return err
	}
	if n != uint64(len(*b)) {
		return fmt.Errorf("group %d follows group %d", n, len(*b)-1)
	}
	*b = append(*b, e)
	return nil
}

// Confirmed counts the groups that the broker stored for certain.
func (b Book) Confirmed() int {
	var n int
	for i := range b {
		if b[i].Confirmed {
			n++
		}
	}
	return n
}
