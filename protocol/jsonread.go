package protocol

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// jsonReader turns JSON into a LogGroupList, in one walk and without memory of its
// own for any of what it reads.
type jsonReader struct {
	lexer
	logWriter

	format Format
	now    instant // of logs that name no time
	max    int     // bytes of the list

	odd   string // see note
	oddAt int

	size   int  // of the input, of which in is a beginning while lines are read
	byLine bool // see Payload
	lineAt int  // where the line begins that is being read

	tagged  []byte // the tail of the last log with tags
	tagsAt  int    // where the tags it was made of begin in the input, and end
	tagsEnd int
	pairs   []byte    // while a tail is made
	strings [4][]byte // Category, Topic, Source and MachineUUID of a LogGroup
}

var jsonReaders = sync.Pool{New: func() any { return new(jsonReader) }}

// readerKeep is how much memory of each kind a pooled reader may keep. Nobody is
// charged for it.
const readerKeep = 64 << 10

// groupsOfJSON reads objects: one, an array of them, or lines with either. Each is
// a log or a LogGroup. The result is a LogGroupList of at most max bytes; its
// capacity exceeds its length by at most an eighth. If something is wrong, it says
// what, and by line in which.
func groupsOfJSON(value []byte, f Format, byLine bool, now time.Time, max int) (body []byte, bad *LineError, wrong string) {
	r, _ := jsonReaders.Get().(*jsonReader)
	r.format, r.now, r.max = f, at(now.Unix(), 0), max
	r.size, r.byLine = len(value), byLine
	r.odd = ""
	r.in, r.wrong, r.tagsAt, r.tagsEnd = value, "", 0, 0
	r.text = r.text[:0]
	pooled := r.out[:0]
	if r.out = pooled; len(value) > readerKeep {
		r.out = make([]byte, 0, min(len(value)+len(value)/16, max)+64)
	}
	r.open = false
	switch ok := r.read(); {
	case !ok && byLine:
		end := r.lineAt + lineLength(value[r.lineAt:])
		bad = &LineError{r.lineAt, end, fmt.Sprintf("%s (byte %d of %d)", r.wrong, r.at-r.lineAt, end-r.lineAt)}
	case !ok:
		wrong = fmt.Sprintf("%s (byte %d of %d)", r.wrong, r.at, len(value))
	case len(value) > readerKeep:
		body = fitted(r.out)
	default:
		body = append(make([]byte, 0, len(r.out)), r.out...)
	}
	if r.in = nil; len(value) > readerKeep {
		r.out = pooled
	}
	r.forget()
	return body, bad, wrong
}

// forget gives the reader back, without what is too large to keep.
func (r *jsonReader) forget() {
	for _, b := range [...]*[]byte{
		&r.out, &r.text, &r.tail, &r.moved, &r.tagged, &r.pairs, &r.before.tail,
		&r.strings[0], &r.strings[1], &r.strings[2], &r.strings[3],
	} {
		if cap(*b) > 2*readerKeep {
			*b = nil
		}
	}
	jsonReaders.Put(r)
}

func (r *jsonReader) read() bool {
	if r.byLine {
		return r.readLines()
	}
	i := r.space(0)
	for i < len(r.in) {
		if r.in[i] == '[' {
			i = r.array(i)
		} else {
			i = r.object(i)
		}
		if i < 0 {
			return false
		}
		end := i
		if i = r.space(i); i < len(r.in) && !hasNewline(r.in[end:i]) {
			r.fail(end, "more follows in the same line")
			return false
		}
	}
	r.closeGroup()
	return r.fits(i) >= 0
}

// readLines reads each line as if the input ended behind it.
func (r *jsonReader) readLines() bool {
	whole := r.in
	for r.lineAt = 0; r.lineAt < len(whole); {
		next := r.lineAt + lineLength(whole[r.lineAt:])
		r.in = whole[:next]
		for i := r.space(r.lineAt); i < next; i = r.space(i) {
			if r.in[i] == '[' {
				i = r.array(i)
			} else {
				i = r.object(i)
			}
			if i < 0 {
				return false
			}
			if end := i; r.space(end) < next {
				r.fail(end, "more follows in the same line")
				return false
			}
		}
		r.lineAt = next
	}
	r.lineAt = 0
	r.closeGroup()
	return r.fits(len(whole)) >= 0
}

// lineLength is how long the first line is, with its newline.
func lineLength(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func hasNewline(space []byte) bool {
	for _, c := range space {
		if c == '\n' {
			return true
		}
	}
	return false
}

// fits is i, or a failure if the list has become too large.
func (r *jsonReader) fits(i int) int {
	if len(r.out) > r.max {
		return r.fail(i, fmt.Sprintf(`its logs become more than %d bytes (limit "decompressed")`, r.max))
	}
	return i
}

func (r *jsonReader) array(i int) int {
	i = r.first(i)
	if r.is(i) == ']' {
		return i + 1
	}
	for more := true; more; {
		if i = r.object(i); i < 0 {
			return -1
		}
		if i, more = r.more(i, ']'); i < 0 {
			return -1
		}
	}
	return i
}

// other is what reading an object as one shape returns when it turns out to be of
// another one. What was written of it is taken back then.
const other = -2

// object reads a log or a LogGroup: as what its first member belongs to, and if that
// was wrong as a flat log.
func (r *jsonReader) object(i int) int {
	if r.is(i) != '{' {
		return r.unexpected(i, "an object {...}")
	}
	next := other
	switch r.shape(i) {
	case shapeSingle:
		next = r.single(i)
	case shapeLog:
		next = r.log(i)
	case shapeGroup:
		next = r.logGroup(i)
	case shapeFlat:
	}
	switch {
	case next != other:
	case r.format == FormatJSONSingle:
		return r.fail(i, `this object is not {"contents":{...},"tags":{...},"time":...}`)
	default:
		r.odd = ""
		next = r.flat(i)
	}
	switch r.text = r.text[:0]; {
	case next < 0:
		return -1
	case r.odd != "":
		return r.fail(r.oddAt, r.odd)
	}
	return r.fits(next)
}

func (r *jsonReader) shape(i int) shape {
	switch r.format {
	case FormatJSONSingle:
		return shapeSingle
	case FormatJSONFlat:
		return shapeFlat
	}
	s := r.guess(i)
	r.wrong = "" // who reads the object finds it again
	return s
}

// note keeps what is wrong with an object that is no mistake of JSON's: it is one
// only if the object has the shape that it is read as, which shows at its end.
func (r *jsonReader) note(at int, odd string) {
	if r.odd == "" {
		r.oddAt, r.odd = at, odd
	}
}

// otherLog takes the log back.
func (r *jsonReader) otherLog() int {
	r.dropLog()
	return other
}

// end completes a log that ends at i.
func (r *jsonReader) end(i int, t instant, tail []byte) int {
	if !t.given {
		t.sec = r.now.sec
	}
	r.endLog(t, tail, r.size-i)
	return i
}
