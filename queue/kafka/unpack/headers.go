package unpack

import (
	"strings"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
)

// headers makes the headers of messages. Those of one partition are mostly the
// same again and again: then the list is the same one, which nobody changes.
type headers struct {
	words   words
	last    []queue.Header
	origin  queue.Origin
	brought bool
}

// of also finds the origin that a message brings along.
func (c *headers) of(hs []record.Header) (list []queue.Header, origin queue.Origin, brought bool) {
	if len(hs) == 0 {
		return nil, origin, false
	}
	if !same(c.last, hs) {
		c.last = make([]queue.Header, len(hs))
		for i := range hs {
			c.last[i] = queue.Header{Key: c.words.of(hs[i].Key), Value: c.words.of(hs[i].Value)}
		}
		c.origin, c.brought = broughtOrigin(c.last)
	}
	return c.last[:len(hs):len(hs)], c.origin, c.brought
}

func same(list []queue.Header, hs []record.Header) bool {
	if len(list) != len(hs) {
		return false
	}
	for i := range hs {
		if list[i].Key != string(hs[i].Key) || list[i].Value != string(hs[i].Value) {
			return false
		}
	}
	return true
}

// broughtOrigin is the origin that headers name.
func broughtOrigin(list []queue.Header) (o queue.Origin, ok bool) {
	for i := range list {
		h := &list[i]
		if !mutant.On(mutant.NewOrigin) && len(h.Key) == len(queue.HeaderOrigin) && strings.EqualFold(h.Key, queue.HeaderOrigin) {
			return queue.ParseOrigin(h.Value)
		}
	}
	return o, false
}

// contentEncoding is the header that says how a value is compressed.
const contentEncoding = "content-encoding"

// wrap adds that the value is compressed with zstd; nil if the headers say already
// how it is.
func wrap(list []queue.Header) []queue.Header {
	m := queue.Message{Headers: list}
	if enc, ok := m.Header(contentEncoding); ok && !strings.EqualFold(enc, "none") && enc != "" {
		return nil
	}
	out := make([]queue.Header, 0, len(list)+1)
	for _, h := range list {
		if !strings.EqualFold(h.Key, contentEncoding) {
			out = append(out, h)
		}
	}
	return append(out, queue.Header{Key: contentEncoding, Value: "zstd"})
}

// words keeps short strings that come again and again, such as header keys and the
// names of projects: a direct-mapped cache, so it is bounded and forgets.
type words [64]string

const longestWord = 64

func (c *words) of(b []byte) string {
	if len(b) == 0 || len(b) > longestWord {
		return string(b)
	}
	h := uint32(2166136261)
	for _, x := range b {
		h = (h ^ uint32(x)) * 16777619
	}
	at := &c[(h^h>>16)%uint32(len(c))]
	if *at != string(b) { // compares without allocating
		*at = string(b)
	}
	return *at
}
