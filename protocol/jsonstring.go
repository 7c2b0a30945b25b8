package protocol

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// quoted finds the end of the string whose text begins at i, and whether it has
// escapes. Escapes are not checked.
func (x *lexer) quoted(i int) (end int, escaped bool) {
	b := x.in
	for {
		for i+8 <= len(b) {
			if special := escapes(binary.LittleEndian.Uint64(b[i:])); special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			i++
		}
		switch {
		case i >= len(b):
			return x.fail(i, "a string is cut off"), false
		case b[i] == '"':
			return i, escaped
		case b[i] < ' ':
			return x.fail(i, "a control character stands in a string"), false
		}
		escaped = true
		i += 2 // what is escaped does not end the string
	}
}

// str reads the string at the quote i. Its text aliases the input, or lies in
// x.text, which grows.
func (x *lexer) str(i int) (s []byte, next int) {
	end, escaped := x.quoted(i + 1)
	if end < 0 {
		return nil, -1
	}
	if s = x.in[i+1 : end]; escaped {
		if s = x.unescape(i+1, end); s == nil {
			return nil, -1
		}
	}
	return s, end + 1
}

// unescape appends the string in[i:end] to x.text. It is nil after a failure only.
func (x *lexer) unescape(i, end int) []byte {
	from := len(x.text)
	for i < end {
		c := x.in[i]
		if c != '\\' {
			x.text = append(x.text, c)
			i++
			continue
		}
		if x.in[i+1] == 'u' {
			if i = x.unicode(i, end); i < 0 {
				return nil
			}
			continue
		}
		plain := unescaped[x.in[i+1]]
		if plain == 0 {
			x.fail(i, "an escape is none of JSON's")
			return nil
		}
		x.text = append(x.text, plain)
		i += 2
	}
	return x.text[from:len(x.text):len(x.text)]
}

var unescaped = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unicode reads \uXXXX, or two of them that are a pair. Halves of pairs become
// U+FFFD, as in encoding/json.
func (x *lexer) unicode(i, end int) int {
	r := hex4(x.in[i:end])
	if r < 0 {
		return x.fail(i, `\u wants four hexadecimal digits`)
	}
	i += 6
	if utf16.IsSurrogate(r) {
		if both := utf16.DecodeRune(r, hex4(x.in[i:end])); both != utf8.RuneError {
			x.text = utf8.AppendRune(x.text, both)
			return i + 6
		}
	}
	x.text = utf8.AppendRune(x.text, r) // a half becomes U+FFFD
	return i
}

// hex4 is the number of an escape at the beginning of b, or -1.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// skipString checks the string at the quote i.
func (x *lexer) skipString(i int) int {
	mark := len(x.text)
	_, next := x.str(i)
	x.text = x.text[:mark]
	return next
}
