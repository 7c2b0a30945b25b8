package cmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue"
)

// foldedErrors counts letters by what their errors have in common. The zero value is
// ready.
type foldedErrors struct {
	of map[string]*foldedError
}

type foldedError struct {
	text    string // with # for numbers and ids
	letters int64
	bytes   int64
	example string // the name of the newest letter
}

const (
	foldedKinds = 10_000 // errors that are told apart; what comes later is otherErrors
	foldedText  = 200    // bytes of an error that tell it from others
	otherErrors = "(other errors)"
)

func (e *foldedErrors) add(text string, l *queue.Letter) {
	text = fold(text)
	one := e.of[text]
	if one == nil && len(e.of) >= foldedKinds {
		text = otherErrors
		one = e.of[text]
	}
	if one == nil {
		one = &foldedError{text: text}
		if e.of == nil {
			e.of = map[string]*foldedError{}
		}
		e.of[text] = one
	}
	one.letters++
	one.bytes += int64(len(l.Value))
	one.example = l.Name()
}

// most are the n that have most letters; 0: all.
func (e *foldedErrors) most(n int) []*foldedError {
	all := make([]*foldedError, 0, len(e.of))
	for _, one := range e.of {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *foldedError) int {
		return cmp.Or(cmp.Compare(b.letters, a.letters), strings.Compare(a.text, b.text))
	})
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return all
}

// fold makes errors alike that differ in numbers and ids: a word that is hexadecimal
// and has at least eight digits, and every run of digits, is #.
func fold(text string) string {
	if len(text) > foldedText {
		text = strings.ToValidUTF8(text[:foldedText], "") + "…"
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		n := wordLength(text[i:])
		if n == 0 {
			b.WriteByte(text[i])
			i++
			continue
		}
		b.WriteString(foldWord(text[i : i+n]))
		i += n
	}
	return b.String()
}

// wordLength is how many letters, digits and dashes s begins with.
func wordLength(s string) int {
	for i := range len(s) {
		if c := s[i] | 0x20; s[i] != '-' && (c < 'a' || c > 'z') && !digit(s[i]) {
			return i
		}
	}
	return len(s)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func foldWord(w string) string {
	digits, hex := 0, 0
	for i := range len(w) {
		switch c := w[i] | 0x20; {
		case digit(w[i]):
			digits++
			hex++
		case c >= 'a' && c <= 'f' || w[i] == '-':
			hex++
		}
	}
	switch {
	case digits == 0:
		return w
	case hex == len(w) && len(w) >= 8:
		return "#"
	}
	var b strings.Builder
	for i := range len(w) {
		if !digit(w[i]) {
			b.WriteByte(w[i])
		} else if i == 0 || !digit(w[i-1]) {
			b.WriteByte('#')
		}
	}
	return b.String()
}
