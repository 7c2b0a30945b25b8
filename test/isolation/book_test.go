//go:build linux

package isolation

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"testing"
	"time"
)

// book is what came, as the destinations noted it.
type book struct {
	file   *os.File
	stores int
	seen   [][]uint64 // of each store, a bit a number
	came   []int      // different ones
	twice  int
}

func openBook(t *testing.T, path string, stores int) *book {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &book{file: f, stores: stores, seen: make([][]uint64, stores), came: make([]int, stores)}
}

// note is one group that came.
type note struct {
	store, number   int
	published, came int64 // nanoseconds since 1970
	again           bool
}

// read counts what was noted since it was called last.
func (b *book) read(t *testing.T, each func(note)) {
	t.Helper()
	in := bufio.NewReaderSize(b.file, 1<<20)
	var raw [24]byte
	for {
		n, err := io.ReadFull(in, raw[:])
		if err == io.EOF {
			return
		}
		if errors.Is(err, io.ErrUnexpectedEOF) { // it is being written
			if _, err := b.file.Seek(int64(-n), io.SeekCurrent); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		x := note{
			store: int(binary.LittleEndian.Uint32(raw[:])), number: int(binary.LittleEndian.Uint32(raw[4:])),
			published: int64(binary.LittleEndian.Uint64(raw[8:])), came: int64(binary.LittleEndian.Uint64(raw[16:])),
		}
		if x.store >= b.stores {
			t.Fatalf("something came for store %d", x.store)
		}
		x.again = b.mark(x.store, x.number)
		each(x)
	}
}

// mark says whether it had come before.
func (b *book) mark(store, number int) bool {
	bits := b.seen[store]
	for len(bits) <= number/64 {
		bits = append(bits, 0)
	}
	b.seen[store] = bits
	if bits[number/64]&(1<<(number%64)) != 0 {
		b.twice++
		return true
	}
	bits[number/64] |= 1 << (number % 64)
	b.came[store]++
	return false
}

// total is how many different groups came.
func (b *book) total() (n int) {
	for _, c := range b.came {
		n += c
	}
	return n
}

// drained waits until all that was published has come.
func (b *book) drained(t *testing.T, l *load, within time.Duration) {
	t.Helper()
	b.follow(t, within, "all that was published has come", func(note) {}, func() bool { return b.total() >= l.total() })
}

// follow reads on until a condition holds.
func (b *book) follow(t *testing.T, within time.Duration, what string, each func(note), ok func() bool) {
	t.Helper()
	eventually(t, within, what, func() bool {
		b.read(t, each)
		return ok()
	})
}

// window is what came within a span of time.
type window struct {
	took   time.Duration
	counts []int       // of each store
	late   map[int]int // how long a group took, in steps of a hundredth, of those that are well
	peak   int64       // memory of the worker since it began
}

// over watches for a time. Latencies are those of the stores that are well.
func (r *rig) over(t *testing.T, d time.Duration, well func(store int) bool) *window {
	t.Helper()
	w := &window{took: d, counts: make([]int, r.book.stores), late: map[int]int{}}
	from := time.Now()
	to := from.Add(d)
	see := func(n note) {
		if n.came < from.UnixNano() || n.came >= to.UnixNano() {
			return
		}
		w.counts[n.store]++
		if well(n.store) {
			w.late[step(n.came-n.published)]++
		}
	}
	r.book.read(t, func(note) {})
	for time.Now().Before(to.Add(100 * time.Millisecond)) { // what came in time is written then
		<-time.After(100 * time.Millisecond)
		r.book.read(t, see)
	}
	w.peak = r.peak.Load()
	return w
}

func step(nanos int64) int { return int(math.Log(float64(max(nanos, 1000))) * 100) }

// rate is how many a second came to the stores that are well.
func (w *window) rate(well func(int) bool) float64 {
	n := 0
	for s, c := range w.counts {
		if well(s) {
			n += c
		}
	}
	return float64(n) / w.took.Seconds()
}

// p99 is how many milliseconds 99 of 100 groups took at most.
func (w *window) p99() float64 {
	n, most := 0, 0
	for s, c := range w.late {
		n += c
		most = max(most, s)
	}
	for left := n / 100; most > 0; most-- {
		if left -= w.late[most]; left < 0 {
			return math.Exp(float64(most)/100) / 1e6
		}
	}
	return math.Inf(1) // nothing came
}

func (w *window) String() string {
	return fmt.Sprintf("%.0f groups a second in %s, p99 %.1f ms, so far at most %d MiB", w.rate(all), w.took, w.p99(), w.peak>>20)
}
