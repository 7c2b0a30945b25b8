package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	nethttp "net/http"
	"strconv"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Sign says how requests are signed. The signature is
//
//	HMAC-SHA256(secret, METHOD "\n" TARGET "\n" TIMESTAMP "\n" BODY)
//
// in lower-case hexadecimal digits, and its header is "sha256=" and these. METHOD is that
// of the request line, in capitals; TARGET is the path as it stands there, still
// percent-encoded, with "?" and the query if there is one; TIMESTAMP is the other header,
// decimal seconds since 1970; BODY is the bytes as they were sent, still compressed. A
// server computes the same, compares in constant time, and refuses timestamps that are
// too old: each try of a request is signed anew.
type Sign struct {
	Secret          option.Secret `option:"secret" help:"The key of HMAC-SHA256 that the server knows, too, as bytes of UTF-8. Empty: requests are not signed."`
	SignatureHeader string        `option:"signature_header" help:"Header of the signature: sha256= and 64 hexadecimal digits, of method, path with query, timestamp and body as sent, with a line feed behind each of the first three."`
	TimestampHeader string        `option:"timestamp_header" help:"Header of the time of the request that is signed, in seconds since 1970."`
}

func (s *Sign) on() bool { return !s.Secret.IsZero() }

// sign sets both headers.
func (s *Sign) sign(r *nethttp.Request, body []byte) {
	if !s.on() {
		return
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set(s.TimestampHeader, at)
	r.Header.Set(s.SignatureHeader, "sha256="+s.of(r.Method, r.URL.RequestURI(), at, body))
}

// of is the signature alone.
func (s *Sign) of(method, target, at string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(s.Secret.Reveal()))
	mac.Write([]byte(method + "\n" + target + "\n" + at + "\n"))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// idempotency is what names the content of a request for ever: the same logs to the same
// URL in the same format have the same. Without ids there is none.
func (f *Flusher) idempotency(b *flushers.Batch, r *request, header nethttp.Header) string {
	if f.Idempotency == "" || len(b.IDs) != count(b) {
		return ""
	}
	text := []byte(f.Method + " " + r.place.url.String() + " " + header.Get("Content-Type") + "\n")
	for _, p := range r.pieces {
		text = appendID(text, b.IDs[p.group], p)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func appendID(dst []byte, id protocol.ID, p piece) []byte {
	if p.logs == nil {
		return append(id.AppendTo(dst), '\n')
	}
	for _, n := range p.logs {
		dst = append(id.AppendLog(dst, n), '\n')
	}
	return dst
}
