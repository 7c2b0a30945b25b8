package nats

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// maxSubject keeps a subject far below the server's limit of 4 KiB for a control
// line, above which it closes the connection.
const maxSubject = 1024

// subject is where a message is stored. Of letters the tokens are mended, never
// refused: a letter that cannot be stored would hold back all that comes after it.
func (s *Sink) subject(given string) (string, error) {
	if s.tails && strings.Count(given, ".") != laneTokens-1 {
		return "", fmt.Errorf("%q is no lane, so the record would never be served", abridge(given))
	}
	if s.prefix != "" {
		return s.prefix + letterSubject(given), nil
	}
	if given == "" || len(given) > maxSubject || letterSubject(given) != given {
		return "", fmt.Errorf("%q is not a subject to publish to: want up to %d bytes of tokens parted by dots, without spaces and wildcards", abridge(given), maxSubject)
	}
	return given, nil
}

func abridge(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// letterSubject makes tokens legal: what NATS gives a meaning is percent-encoded,
// an empty token becomes "%", and what is too long keeps route and flusher and is
// named by its hash (the headers carry the whole key).
func letterSubject(suffix string) string {
	if suffix == "" {
		return unrouted
	}
	tokens := strings.Split(suffix, ".")
	for i, t := range tokens {
		tokens[i] = legalToken(t)
	}
	whole := strings.Join(tokens, ".")
	if len(whole) <= maxSubject {
		return whole
	}
	sum := sha256.Sum256([]byte(whole))
	short := "long." + hex.EncodeToString(sum[:8])
	if len(tokens) > 2 && len(tokens[0])+len(tokens[1]) < 200 {
		short = tokens[0] + "." + tokens[1] + "." + short
	}
	return short
}

func legalToken(t string) string {
	if t == "" {
		return "%"
	}
	return encode(t, func(c byte) bool { return c > ' ' && c < 0x7f && c != '*' && c != '>' })
}

// encode percent-encodes the bytes that are not legal.
func encode(s string, legal func(byte) bool) string {
	clean := true
	for i := range len(s) {
		clean = clean && legal(s[i])
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if legal(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// storedHeaders are a message's headers without any that the server obeys: those
// are kept under queue.HeaderWas. Keys that cannot travel are percent-encoded.
func storedHeaders(in []queue.Header) []queue.Header {
	out := make([]queue.Header, len(in))
	for i, h := range in {
		if len(h.Key) >= 5 && strings.EqualFold(h.Key[:5], "nats-") {
			h.Key = queue.HeaderWas + strings.ToLower(h.Key)
		}
		if h.Key == "" {
			h.Key = "%"
		}
		h.Key = encode(h.Key, func(c byte) bool { return c > ' ' && c < 0x7f && c != ':' })
		out[i] = h
	}
	return out
}

func wireHeader(in []queue.Header) nats.Header {
	h := make(nats.Header, len(in)+2)
	for _, one := range in {
		h[one.Key] = append(h[one.Key], one.Value)
	}
	return h
}

// wireSize is what the server counts: headers with the ones that a put adds, and
// the body.
func (s *Sink) wireSize(m *queue.Message) int {
	n := len("NATS/1.0\r\n") + len("\r\n") + len(m.Value)
	n += headerSize(jetstream.MsgIDHeader, 2*msgIDBytes) + headerSize(jetstream.ExpectedStreamHeader, len(s.stream))
	for i := range m.Headers {
		n += headerSize(m.Headers[i].Key, len(m.Headers[i].Value))
	}
	return n
}

func headerSize(key string, value int) int { return len(key) + value + len(": \r\n") }
