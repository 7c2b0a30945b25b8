package elasticsearch

// reader reads the JSON of an answer where it stands: no value is copied. After
// something that is not as it should be, wrong stays true and nothing more is found.
type reader struct {
	in    []byte
	at    int
	wrong bool
	items bool // next has found the list
}

// deepest is how far values that nobody reads may be nested.
const deepest = 100

// next is the next item of an answer that sumUp has believed.
func (r *reader) next() (it item, ok bool) {
	if !r.items {
		r.items = true
		for r.open('{'); r.more('}'); {
			name := r.text()
			r.open(':')
			if string(name) == "items" {
				r.open('[')
				break
			}
			r.skip(0)
		}
	}
	if !r.more(']') {
		return item{}, false
	}
	return r.item(), true
}

// item reads {"create":{"status":201,"error":{...}}}.
func (r *reader) item() (it item) {
	actions := 0
	r.object(func([]byte) {
		actions++
		r.object(func(name []byte) {
			switch string(name) {
			case "status":
				it.status = r.number()
			case "error":
				r.failure(&it)
			default:
				r.skip(0)
			}
		})
	})
	if actions != 1 || it.status == 0 {
		r.wrong = true
	}
	return it
}

// failure reads an error: an object, or in old versions a text.
func (r *reader) failure(it *item) {
	if r.peek() == '"' {
		it.reason = r.text()
		return
	}
	r.object(func(name []byte) {
		switch {
		case string(name) == "type" && r.peek() == '"':
			it.typ = r.text()
		case string(name) == "reason" && r.peek() == '"':
			it.reason = r.text()
		case string(name) == "caused_by" && r.peek() == '{':
			var inner item
			r.failure(&inner)
			it.cause = inner.reason
		default:
			r.skip(0)
		}
	})
}

// object calls each with the name of each member, whose value it has to read. It says
// whether there is an object.
func (r *reader) object(each func(name []byte)) bool {
	if !r.open('{') {
		return false
	}
	for r.more('}') {
		name := r.text()
		r.open(':')
		if r.wrong {
			return false
		}
		each(name)
	}
	return !r.wrong
}

// more says that a list or object goes on, and otherwise reads its end.
func (r *reader) more(end byte) bool {
	c := r.peek()
	if r.wrong {
		return false
	}
	if c == end {
		r.at++
		return false
	}
	before := r.at - 1
	for before >= 0 && space(r.in[before]) {
		before--
	}
	first := before >= 0 && (r.in[before] == '{' || r.in[before] == '[')
	if first != (c != ',') {
		r.wrong = true
		return false
	}
	if c == ',' {
		r.at++
		if c = r.peek(); c == end || c == ',' {
			r.wrong = true
			return false
		}
	}
	return true
}

// open reads one character that has to be there.
func (r *reader) open(c byte) bool {
	if r.peek() != c {
		r.wrong = true
		return false
	}
	r.at++
	return true
}

// peek is the next character that is no space; 0 at the end, and after what is wrong.
func (r *reader) peek() byte {
	for r.at < len(r.in) && space(r.in[r.at]) {
		r.at++
	}
	if r.wrong || r.at >= len(r.in) {
		r.wrong = true
		return 0
	}
	return r.in[r.at]
}

func (r *reader) ended() bool {
	for r.at < len(r.in) && space(r.in[r.at]) {
		r.at++
	}
	return r.at == len(r.in)
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// text reads a string, as it stands between its quotes.
func (r *reader) text() []byte {
	if !r.open('"') {
		return nil
	}
	for begin := r.at; r.at < len(r.in); r.at++ {
		switch r.in[r.at] {
		case '\\':
			r.at++
		case '"':
			r.at++
			return r.in[begin : r.at-1]
		}
	}
	r.wrong = true
	return nil
}

// number reads one that is whole, not negative and small.
func (r *reader) number() int {
	n, digits := 0, 0
	for r.peek(); r.at < len(r.in) && r.in[r.at] >= '0' && r.in[r.at] <= '9' && digits < 6; r.at++ {
		n, digits = n*10+int(r.in[r.at]-'0'), digits+1
	}
	if digits == 0 {
		r.wrong = true
	}
	return n
}

// literal reads a word if it is the next.
func (r *reader) literal(word string) bool {
	r.peek()
	if r.wrong || len(r.in)-r.at < len(word) || string(r.in[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

// skip reads a value that nobody wants.
func (r *reader) skip(depth int) {
	c := r.peek()
	switch {
	case depth > deepest:
		r.wrong = true
	case c == '"':
		r.text()
	case c == '{':
		r.object(func([]byte) { r.skip(depth + 1) })
	case c == '[':
		for r.open('['); r.more(']'); {
			r.skip(depth + 1)
		}
	default:
		begin := r.at
		for r.at < len(r.in) && !space(r.in[r.at]) && r.in[r.at] != ',' && r.in[r.at] != '}' && r.in[r.at] != ']' {
			r.at++
		}
		r.wrong = r.wrong || r.at == begin
	}
}
