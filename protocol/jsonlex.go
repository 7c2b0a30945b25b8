package protocol

// lexer walks JSON text (RFC 8259) by indexes. A method takes the index where its
// value begins and returns the one behind it, or -1 after a failure. Strings are
// taken as bytes: what is no UTF-8 stays as it is.
type lexer struct {
	in    []byte
	wrong string // what is wrong
	at    int    // and where

	text []byte // strings with escapes and nested values, once they are plain text
}

// jsonDepth is how deep arrays and objects may nest within a value.
const jsonDepth = 512

func (x *lexer) fail(at int, wrong string) int {
	if x.wrong == "" {
		x.at, x.wrong = at, wrong
	}
	return -1
}

// unexpected fails at a byte, or at the end of the text.
func (x *lexer) unexpected(i int, want string) int {
	if i >= len(x.in) {
		return x.fail(i, "the text is cut off: want "+want)
	}
	return x.fail(i, "want "+want+", found "+quoteByte(x.in[i]))
}

func quoteByte(c byte) string {
	if c < ' ' || c >= 0x7f {
		const hex = "0123456789abcdef"
		return "byte 0x" + string([]byte{hex[c>>4], hex[c&15]})
	}
	return "'" + string(rune(c)) + "'"
}

// space passes over white space.
func (x *lexer) space(i int) int {
	for i < len(x.in) && (x.in[i] == ' ' || x.in[i] == '\n' || x.in[i] == '\t' || x.in[i] == '\r') {
		i++
	}
	return i
}

// is says which byte stands at i; 0 behind the end.
func (x *lexer) is(i int) byte {
	if i < len(x.in) {
		return x.in[i]
	}
	return 0
}

// member reads a member's name at i and returns where its value begins.
func (x *lexer) member(i int) (name []byte, value int) {
	if x.is(i) != '"' {
		return nil, x.unexpected(i, "a name in quotes")
	}
	name, i = x.str(i)
	if i < 0 {
		return nil, -1
	}
	if x.is(i) != ':' {
		if i = x.space(i); x.is(i) != ':' {
			return nil, x.unexpected(i, "a colon")
		}
	}
	if i++; x.is(i) <= ' ' {
		i = x.space(i)
	}
	if i >= len(x.in) {
		return nil, x.unexpected(i, "a value")
	}
	return name, i
}

// pairAt reads the member at i with its value as a text (see value), and says where the
// value begins. The usual member, "name":"value" without escapes and white space, is
// read at once.
func (x *lexer) pairAt(i int) (name, value []byte, at, next int) {
	if x.is(i) == '"' {
		n, escaped := x.quoted(i + 1)
		if v := n + 3; n > 0 && !escaped && v < len(x.in) && x.in[n+1] == ':' && x.in[n+2] == '"' {
			if next, escaped = x.quoted(v); next > 0 && !escaped {
				return x.in[i+1 : n], x.in[v:next], v - 1, next + 1
			}
		}
	}
	if name, at = x.member(i); at < 0 {
		return nil, nil, -1, -1
	}
	value, next = x.value(at)
	return name, value, at, next
}

// first is the index of the first member or element of what opens at i, or of the
// bracket that closes it at once.
func (x *lexer) first(i int) int { return x.space(i + 1) }

// more looks behind a member or element: at the next one, or behind the bracket
// that closes.
func (x *lexer) more(i int, closing byte) (next int, more bool) {
	c := x.is(i)
	if c <= ' ' {
		i = x.space(i)
		c = x.is(i)
	}
	switch c {
	case ',':
		if i++; x.is(i) <= ' ' {
			i = x.space(i)
		}
		return i, true
	case closing:
		return i + 1, false
	}
	return x.unexpected(i, "a comma or '"+string(rune(closing))+"'"), false
}

// skip checks the value at i and passes over it.
func (x *lexer) skip(i int) int {
	switch c := x.is(i); {
	case c == '"':
		return x.skipString(i)
	case c == '{' || c == '[':
		return x.skipNested(i)
	case c == '-' || '0' <= c && c <= '9':
		return x.number(i)
	}
	for _, word := range [...]string{"null", "true", "false"} {
		if end := i + len(word); end <= len(x.in) && string(x.in[i:end]) == word {
			return end
		}
	}
	return x.unexpected(i, "a value")
}

// skipNested keeps one bit for each level that is open: whether it is an object.
func (x *lexer) skipNested(i int) int {
	var objects [jsonDepth / 64]uint64
	mark := len(x.text)
	for depth := 0; ; { // a value begins at i
		switch c := x.is(i); c {
		case '{', '[':
			if depth == jsonDepth {
				return x.fail(i, "arrays and objects nest too deep")
			}
			if i = x.first(i); x.is(i) == closing(c) {
				i++
				break
			}
			objects[depth/64] &^= 1 << (depth % 64)
			if depth++; c == '{' {
				objects[(depth-1)/64] |= 1 << ((depth - 1) % 64)
				if _, i = x.member(i); i < 0 {
					return -1
				}
			}
			continue
		default:
			if i = x.skip(i); i < 0 {
				return -1
			}
		}
		for more := false; depth > 0 && !more; { // a value ended before i
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 != 0
			if object {
				i, more = x.more(i, '}')
			} else {
				i, more = x.more(i, ']')
			}
			switch {
			case i < 0:
				return -1
			case !more:
				depth--
			case object:
				if _, i = x.member(i); i < 0 {
					return -1
				}
			}
		}
		if x.text = x.text[:mark]; depth == 0 {
			return i
		}
	}
}

// closing is the bracket that ends what c begins.
func closing(c byte) byte { return c + 2 }

// number passes over a number of JSON's grammar.
func (x *lexer) number(i int) int {
	if x.is(i) == '-' {
		i++
	}
	switch c := x.is(i); {
	case c == '0':
		i++
	case '1' <= c && c <= '9':
		i = x.digits(i)
	default:
		return x.unexpected(i, "a digit")
	}
	if x.is(i) == '.' {
		from := i + 1
		if i = x.digits(from); i == from {
			return x.unexpected(i, "a digit")
		}
	}
	if c := x.is(i); c == 'e' || c == 'E' {
		if i++; x.is(i) == '+' || x.is(i) == '-' {
			i++
		}
		from := i
		if i = x.digits(from); i == from {
			return x.unexpected(i, "a digit")
		}
	}
	return i
}

func (x *lexer) digits(i int) int {
	for c := x.is(i); '0' <= c && c <= '9'; c = x.is(i) {
		i++
	}
	return i
}

// value reads the value at i as a text: a string as it is, null as empty, all else
// as its JSON text, without white space between.
func (x *lexer) value(i int) (text []byte, next int) {
	switch c := x.is(i); c {
	case '"':
		return x.str(i)
	case '{', '[':
		return x.nested(i)
	case 'n':
		return nil, x.skip(i)
	}
	if next = x.skip(i); next < 0 {
		return nil, -1
	}
	return x.in[i:next], next
}

// nested appends the compact form of an array or object to x.text.
func (x *lexer) nested(i int) (text []byte, next int) {
	if next = x.skipNested(i); next < 0 {
		return nil, -1
	}
	from := len(x.text)
	for i < next {
		switch c := x.in[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end, _ := x.quoted(i + 1)
			x.text = append(x.text, x.in[i:end+1]...)
			i = end + 1
		default:
			x.text = append(x.text, c)
			i++
		}
	}
	return x.text[from:len(x.text):len(x.text)], next
}
