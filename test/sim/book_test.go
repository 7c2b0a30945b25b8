package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// book knows of every message how far it is: the world writes down what it sees, from
// any goroutine, and what must not be is a violation at once.
type book struct {
	doomed func(entry, group, reason string) bool // whether a destination has to do with it that a group is a dead letter

	mu       sync.Mutex
	messages map[int]*page
	places   map[string]*page
	broken   []string
	letters  int
	acks     int // that were looked at on their way to the broker
}

// page is what is known of one message.
type page struct {
	*message
	confirmed bool
	handouts  int
	copies    map[string]int // by entry and group, or "": dead letters of a message without groups that can be flushed
	kept      map[string]int // the same of dead letters
}

// unrouted is the entry of what no entry takes.
const unrouted = ""

func newBook(doomed func(entry, group, reason string) bool) *book {
	return &book{doomed: doomed, messages: map[int]*page{}, places: map[string]*page{}}
}

func (b *book) violate(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.violateLocked(format, args...)
}

func (b *book) violateLocked(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(b.broken) < 20 && !slices.Contains(b.broken, text) {
		b.broken = append(b.broken, text)
	}
}

// tried notes a message before anybody is asked to store it.
func (b *book) tried(m *message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages[m.number] = &page{message: m, copies: map[string]int{}, kept: map[string]int{}}
}

// confirmed notes that the broker has a message, and where.
func (b *book) confirmed(number int, place string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.messages[number]
	p.confirmed = true
	b.places[place] = p
}

// handedOut notes that a worker got a message from its source.
func (b *book) handedOut(m *queue.Message, place string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pageLocked(m, "handed out")
	if p == nil {
		return
	}
	p.handouts++
	b.places[place] = p
	if !bytes.Equal(p.Value, m.Value) {
		b.violateLocked("message %d was handed out changed", p.number)
	}
}

func (b *book) pageLocked(m *queue.Message, what string) *page {
	text, _ := m.Header(headerNumber)
	n, err := strconv.Atoi(text)
	p := b.messages[n]
	if err != nil || p == nil {
		b.violateLocked("spurious: a message that nobody published was %s: number %q", what, text)
		return nil
	}
	return p
}

// stored notes that a destination took a group.
func (b *book) stored(entry string, raw []byte, g *protocol.LogGroup) {
	id := groupID(g)
	text, _, _ := strings.Cut(id, ".")
	n, err := strconv.Atoi(text)
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.messages[n]
	if err != nil || p == nil || p.groups[id] == nil {
		b.violateLocked("spurious: %s got group %q, which nobody published", entry, id)
		return
	}
	if !bytes.Equal(p.groups[id], raw) {
		b.violateLocked("corrupt: %s got group %s changed", entry, id)
	}
	if !slices.Contains(p.routes, entry) && entry != extraEntry {
		b.violateLocked("misrouted: %s got group %s of %v", entry, id, p.routes)
	}
	key := entry + " " + id
	p.copies[key]++
	if p.copies[key] > p.handouts {
		b.violateLocked("repeated: %s got group %s %d times, but a worker got its message only %d times", entry, id, p.copies[key], p.handouts)
	}
}

// buried notes that a dead letter is stored. deployment is what its headers begin with.
func (b *book) buried(deployment string, m *queue.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters++
	p := b.pageLocked(m, "made a dead letter")
	if p == nil {
		return
	}
	to, _ := m.Header(queue.HeaderTo)
	entry := strings.TrimPrefix(to, deployment+"/")
	reason, _ := m.Header(queue.HeaderReason)
	if entry == unrouted {
		if len(p.routes) > 0 {
			b.violateLocked("message %d became a dead letter (%s), but %v take it", p.number, reason, p.routes)
		}
		p.kept[unrouted]++
		return
	}
	_, groups, err := protocol.Scan(m.Value, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err != nil || len(groups) != 1 {
		b.violateLocked("corrupt: a dead letter of message %d to %s has %d groups: %v", p.number, entry, len(groups), err)
		return
	}
	id := groupID(groups[0].Decode())
	switch {
	case !bytes.Equal(p.groups[id], m.Value):
		b.violateLocked("corrupt: the dead letter of group %q to %s is not what was published", id, entry)
	case !b.doomed(entry, id, reason):
		b.violateLocked("group %s became a dead letter of %s (%s), which neither refused it for good nor hung so often", id, entry, reason)
	}
	p.kept[entry+" "+id]++
}

// wanted are the places where parts of a message have to end.
func (p *page) wanted() []string {
	if len(p.routes) == 0 {
		return []string{unrouted}
	}
	var all []string
	for _, id := range slices.Sorted(maps.Keys(p.groups)) {
		for _, entry := range p.routes {
			all = append(all, entry+" "+id)
		}
	}
	return all
}

// open are the parts of a message that have not ended.
func (p *page) open() []string {
	var all []string
	for _, key := range p.wanted() {
		if p.copies[key]+p.kept[key] == 0 {
			all = append(all, key)
		}
	}
	return all
}

// acknowledged is told that the broker hears of a message that it has ended.
func (b *book) acknowledged(place string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acks++
	p := b.places[place]
	if p == nil {
		b.violateLocked("%s was acknowledged, where nobody ever got a message", place)
		return
	}
	if open := p.open(); len(open) > 0 {
		b.violateLocked("message %d at %s was acknowledged before %q had ended", p.number, place, open)
	}
}

// missing are the confirmed parts that have not ended.
func (b *book) missing() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, n := range slices.Sorted(maps.Keys(b.messages)) {
		if p := b.messages[n]; p.confirmed {
			for _, key := range p.open() {
				all = append(all, fmt.Sprintf("%d: %s", n, key))
			}
		}
	}
	return all
}

// sum is what a world came to.
type sum struct {
	Messages   int `json:"messages"`   // confirmed
	Handouts   int `json:"handouts"`   // of messages to workers
	Again      int `json:"again"`      // handouts beyond the first
	Parts      int `json:"parts"`      // that had to end
	Duplicates int `json:"duplicates"` // groups at a destination beyond the first
	Letters    int `json:"letters"`
	Acks       int `json:"acks"` // settlements that were checked on their way to the broker
}

func (b *book) sum() sum {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := sum{Letters: b.letters, Acks: b.acks}
	for _, p := range b.messages {
		if p.confirmed {
			s.Messages++
			s.Parts += len(p.wanted())
		}
		s.Handouts += p.handouts
		s.Again += max(0, p.handouts-1)
		for _, n := range p.copies {
			s.Duplicates += n - 1
		}
	}
	return s
}

// mostHandouts is how often the message was handed out that was handed out most.
func (b *book) mostHandouts() (number, times int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, p := range b.messages {
		if p.handouts > times || p.handouts == times && n < number {
			number, times = n, p.handouts
		}
	}
	return number, times
}

func (b *book) violations() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.broken)
}

// compare holds the dead letters that the queue has to those that it said it had
// stored.
func (b *book) compare(stored []queue.Message) {
	have := map[int]int{}
	for i := range stored {
		text, _ := stored[i].Header(headerNumber)
		n, err := strconv.Atoi(text)
		if err != nil {
			b.violate("spurious: a dead letter has the number %q", text)
		}
		have[n]++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, p := range b.messages {
		want := 0
		for _, times := range p.kept {
			want += times
		}
		if have[n] < want {
			b.violateLocked("lost: %d of %d dead letters of message %d are stored", have[n], want, n)
		}
	}
}
