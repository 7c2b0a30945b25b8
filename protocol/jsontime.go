package protocol

import (
	"math"
	"time"
	"unsafe"
)

// instant is a log's time. The zero instant is none.
type instant struct {
	sec, ns uint32
	given   bool
	exact   bool // it has a nanosecond part
}

// at makes an instant of seconds and nanoseconds since 1970, unless a Log cannot
// hold it.
func at(sec int64, ns uint32) instant {
	if sec < 0 || sec > math.MaxUint32 {
		return instant{}
	}
	return instant{sec: uint32(sec), ns: ns, given: true, exact: ns != 0}
}

// instant reads a member's value: RFC 3339 in quotes, or a number since 1970, in
// quotes or not.
func (x *lexer) instant(i int) instant {
	c := x.is(i)
	if c != '"' && (c < '0' || c > '9') {
		return instant{}
	}
	mark := len(x.text)
	text, _ := x.value(i)
	x.text = x.text[:mark]
	if c == '"' && len(text) >= len("2006-01-02T15:04:05Z") && text[4] == '-' {
		t, err := time.Parse(time.RFC3339Nano, unsafe.String(&text[0], len(text)))
		if err != nil {
			return instant{}
		}
		return at(t.Unix(), uint32(t.Nanosecond()))
	}
	return epoch(text)
}

// epoch reads a number since 1970 whose unit follows from its size: eleven digits
// of seconds are the year 5138. There may be a fraction, and no exponent.
func epoch(text []byte) instant {
	n, whole := decimal(text)
	if n == 0 || n > 19 {
		return instant{}
	}
	unit, sub := unitOf(whole), uint64(0)
	if n < len(text) {
		if text[n] != '.' || n+1 == len(text) {
			return instant{}
		}
		scale := unit
		for _, c := range text[n+1:] {
			if c < '0' || c > '9' {
				return instant{}
			}
			scale /= 10
			sub += uint64(c-'0') * scale
		}
	}
	perSecond := uint64(1e9) / unit
	return at(int64(whole/perSecond), uint32(whole%perSecond*unit+sub))
}

// unitOf is how many nanoseconds one of a number of this size is.
func unitOf(whole uint64) uint64 {
	switch {
	case whole < 1e11:
		return 1e9
	case whole < 1e14:
		return 1e6
	case whole < 1e17:
		return 1e3
	}
	return 1
}

// decimal reads the digits at the beginning of text: how many, and their value if
// they are at most 19.
func decimal(text []byte) (n int, v uint64) {
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		v = v*10 + uint64(text[n]-'0')
		n++
	}
	return n, v
}

// below reads the number at i if it is a whole one below limit.
func (x *lexer) below(i int, limit uint64) (v uint32, ok bool) {
	if i < 0 || i >= len(x.in) {
		return 0, false
	}
	n, whole := decimal(x.in[i:min(i+20, len(x.in))])
	if n == 0 || n > 19 || whole >= limit {
		return 0, false
	}
	switch x.is(i + n) {
	case '.', 'e', 'E':
		return 0, false
	}
	return uint32(whole), true
}
