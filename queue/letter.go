package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LetterBox is a dead letter queue as operators see it: what could not be delivered and
// nobody has seen to yet. It is for one goroutine; several boxes may be open on one queue
// at the same time, in any processes, while workers go on putting letters.
type LetterBox interface {
	// Describe names the box for people: "stream LOGS_flushline_DLQ".
	Describe() string

	// Letters calls visit for each letter that was there when it was called and is not
	// resolved; within a Place.Part the oldest first. A letter that cannot be read (chunks
	// missing, a later format) is visited as well, with its Damage. The letter is visit's
	// to keep, and it may Resolve letters before Letters has ended, so that nobody has to
	// remember a million of them. It ends with the first error of visit, or of reading.
	//
	// A queue that is not there yet is a *MissingError: nothing became a dead letter.
	Letters(ctx context.Context, visit func(*Letter) error) error

	// Resolve says durably that letters need nothing more: they were replayed, or are to be
	// forgotten. Once it returned nil no box shows them again. After an error each may be
	// resolved or not, or have some of its chunks left, which are shown as damaged.
	// Resolving again is no error. A letter that is Arriving is refused, the others are
	// resolved. It reads no more of a letter than Bare keeps.
	Resolve(ctx context.Context, ls []*Letter) error

	// Free gives back the space of resolved letters as far as the queue can, and says what
	// it could not: Kafka keeps everything behind the oldest letter that is open. It never
	// frees one that is open. text is for people; empty: nothing is left.
	Free(ctx context.Context) (text string, err error)

	// Close ends the box's connections.
	Close() error
}

// ArrivalBound is how long after its first chunk the others of a letter may still come.
// Sinks confirm no letter that took longer: they fail it with ErrArrivedLate.
const ArrivalBound = 5 * time.Minute

// ErrArrivedLate is what a sink says of a message whose chunks took too long. A process that
// is frozen between them may come back after somebody has tidied up.
var ErrArrivedLate = errors.New("the process stood still between the chunks of the message, which may have been removed meanwhile")

// Arriving says that chunks are missing which may be on their way: a worker puts them just
// now, and is told that the letter is stored once the last one is. now is the queue's time.
func (l *Letter) Arriving(now time.Time) bool {
	return errors.Is(l.Damage, errChunksMissing) && now.Before(l.Time.Add(ArrivalBound))
}

// SplitArriving parts letters into those that can be resolved and an error about the
// others, nil if there are none. Boxes call it first.
func SplitArriving(ls []*Letter, now time.Time) (ready []*Letter, err error) {
	var names []string
	for _, l := range ls {
		if l.Arriving(now) {
			names = append(names, l.Name())
		} else {
			ready = append(ready, l)
		}
	}
	if len(names) > 0 {
		more := ""
		if n := len(names) - 10; n > 0 {
			names, more = names[:10], fmt.Sprintf(" and %d more", n)
		}
		err = fmt.Errorf("couldn't resolve %s%s: chunks are missing that may be on their way, since the first is younger than %s: try again then", strings.Join(names, ", "), more, ArrivalBound)
	}
	return ready, err
}

var errChunksMissing = errors.New("its put failed halfway (then it is there once more as a whole) or is under way, or resolving it was cut off")

// LetterFormat is the version of the letter format that this program writes and reads.
const LetterFormat = "1"

// Letter is one dead letter, put together if it was cut.
type Letter struct {
	// Message is what the sink was given: the payload untouched, the original headers and
	// ours. Subject is the lane (Lane.String), or empty if it never got that far. Time is
	// when the queue stored it.
	Message

	Places []Place // of all that it is made of, the first chunk's first: it names the letter
	Damage error   // why it cannot be read, so that it is kept and shown but never replayed; nil: it is whole
}

// Place is where one message of a box lies: a stream's name and a sequence, a partition as
// "<topic>-<number>" and an offset, a file's name and a byte offset.
type Place struct {
	Part     string
	Position int64
}

// String is <part>/<position>, which names a letter in commands.
func (p Place) String() string { return p.Part + "/" + strconv.FormatInt(p.Position, 10) }

// ParsePlace reads what String wrote.
func ParsePlace(s string) (Place, error) {
	i := strings.LastIndexByte(s, '/')
	if i > 0 {
		if n, err := strconv.ParseInt(s[i+1:], 10, 64); err == nil && n >= 0 {
			return Place{s[:i], n}, nil
		}
	}
	return Place{}, fmt.Errorf("%q names no letter: want <queue>/<position> as `flushline dlq ls` prints it", s)
}

// Bare is what has to be kept of a letter to resolve it: where it lies, when it was stored
// and what it is. It holds no memory of the letter itself.
func (l *Letter) Bare() *Letter {
	b := &Letter{Message: Message{Time: l.Time}, Places: l.Places, Damage: l.Damage}
	if origin, has := l.Header(HeaderOrigin); has {
		b.Headers = []Header{{HeaderOrigin, strings.Clone(origin)}}
	}
	return b
}

// Name is what commands call the letter.
func (l *Letter) Name() string { return l.Places[0].String() }

// Facts is what the headers of a letter say.
type Facts struct {
	Reason   string // class: permanent, undecodable, ...
	Error    string
	Attempts int

	Lane       Lane   // Route and Flusher are of x-flushline-to, the key as resolved; empty fields: it never got that far
	Deployment string // of x-flushline-to

	Origin    Origin
	HasOrigin bool
	Groups    string // original indexes, "0,3,7"; empty: the whole message
	Hops      int    // how often it was replayed already
	FirstSeen time.Time
	Source    string // source, strand and position that it was read from
	Subject   string // NATS subject, Kafka topic or path of the original; empty: nobody noted it
	Worker    string // version and host that gave it up
}

// Facts reads the headers. What is missing or garbled stays zero: a letter whose headers
// somebody damaged can still be shown.
func (l *Letter) Facts() Facts {
	text := func(name string) string { v, _ := l.Header(name); return v }
	number := func(name string) int { n, _ := strconv.Atoi(text(name)); return max(n, 0) }
	f := Facts{
		Reason: text(HeaderReason), Error: text(HeaderError), Attempts: number(HeaderAttempts),
		Groups: text(HeaderGroups), Hops: number(HeaderHops), Source: text(HeaderSource), Subject: text(HeaderSubject), Worker: text(HeaderWorker),
	}
	if lane, err := ParseLane(l.Subject); err == nil {
		f.Lane = lane
	}
	if to := strings.Split(text(HeaderTo), "/"); len(to) == 3 {
		f.Deployment, f.Lane.Route, f.Lane.Flusher = to[0], to[1], to[2]
	}
	f.Origin, f.HasOrigin = ParseOrigin(text(HeaderOrigin))
	f.FirstSeen, _ = time.Parse(time.RFC3339Nano, text(HeaderFirstSeen))
	return f
}

// LetterJoiner makes letters of the messages of one Place.Part. It is for one goroutine.
type LetterJoiner struct {
	Part   string
	joiner Joiner
	firsts map[string]Message // by HeaderPartOf: what names a letter whose chunks are missing
}

// Add takes the next message of the part; nil: a letter needs more chunks.
func (j *LetterJoiner) Add(m Message) *Letter {
	id, cut := m.Header(HeaderPartOf)
	if cut {
		if j.firsts == nil {
			j.firsts = map[string]Message{}
		}
		if first, seen := j.firsts[id]; !seen || isFirstChunk(&m) && !isFirstChunk(&first) {
			kept := m
			kept.Value = nil
			j.firsts[id] = kept
		}
	}
	whole, err := j.joiner.Add(m)
	switch {
	case err != nil:
		return j.damaged(m, []int64{m.Position}, err)
	case whole == nil:
		return nil
	}
	delete(j.firsts, id)
	l := j.letter(whole.Message, whole.Positions)
	if v, _ := l.Header(HeaderVersion); v != LetterFormat {
		l.Damage = fmt.Errorf("its format is %q and this program knows %q: read it with the version that wrote it, or a later one", v, LetterFormat)
	}
	return l
}

// Rest is what could not be put together of all that was added.
func (j *LetterJoiner) Rest() []*Letter {
	var ls []*Letter
	for _, gap := range j.joiner.Missing() {
		err := fmt.Errorf("chunks %v of %d are missing: %w", gap.Missing, gap.Parts, errChunksMissing)
		ls = append(ls, j.damaged(j.firsts[gap.ID], gap.Positions, err))
	}
	return ls
}

func (j *LetterJoiner) damaged(m Message, at []int64, why error) *Letter {
	l := j.letter(m, at)
	l.Damage = why
	return l
}

func (j *LetterJoiner) letter(m Message, at []int64) *Letter {
	l := &Letter{Message: m}
	for _, p := range at {
		l.Places = append(l.Places, Place{j.Part, p})
	}
	return l
}

func isFirstChunk(m *Message) bool {
	number, _ := m.Header(HeaderPart)
	i, _, err := PartNumber(number)
	return err == nil && i == 1
}
