package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	nethttp "net/http"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// The page says how to compute it with openssl, which made the vector.
func TestTheSignatureOfTheDocumentation(t *testing.T) {
	t.Parallel()
	s := Sign{Secret: option.NewSecret("s3cret key")}
	got := s.of("POST", "/ingest/a%2Fb?day=1970-01-01", "1700000000", []byte(`{"contents":{"msg":"x"},"tags":{},"time":1}`+"\n"))
	if got != signatureVector {
		t.Errorf("signed %s, want %s", got, signatureVector)
	}
}

// A server verifies with what it gets, whatever the format, compression and place.
func TestServersCanVerifySignatures(t *testing.T) {
	t.Parallel()
	verified := make(chan bool, 10)
	s := serve(t, nil)
	s.verify = func(r *nethttp.Request, body []byte) {
		mac := hmac.New(sha256.New, []byte("s3cret key"))
		mac.Write([]byte(r.Method + "\n" + r.RequestURI + "\n" + r.Header.Get("X-At") + "\n" + string(body)))
		verified <- r.Header.Get("X-Sum") == "sha256="+hex.EncodeToString(mac.Sum(nil)) && r.Header.Get("X-At") != ""
	}
	for _, compression := range []string{"none", "gzip", "zstd", "snappy"} {
		f := start(t, new(flushertest.Process), s.URL+"/in/{tag.app}?a=b%20c", func(f *Flusher) {
			f.Compression, f.Query = compression, secrets("q", "{logstore}")
			f.Sign = Sign{Secret: option.NewSecret("s3cret key"), SignatureHeader: "x-sum", TimestampHeader: "x-at"}
		})
		if err := flush(f, tagged("a b/ü", 0, "1")); err != nil {
			t.Fatal(err)
		}
		if !<-verified {
			t.Errorf("%s: the signature is not that of the request", compression)
		}
	}
}

// The same logs carry the same key, however often and on whichever try; others do not.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	s := serve(t, status(200))
	keys := func(format, request string, ids []protocol.ID, groups ...*protocol.LogGroup) []string {
		t.Helper()
		before := len(s.requests())
		f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) {
			f.Format, f.Request, f.Idempotency = format, request, "Idempotency-Key"
		})
		b := &flushers.Batch{Groups: groups, IDs: ids}
		if err := f.FlushBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range s.requests()[before:] {
			all = append(all, r.header.Get("Idempotency-Key"))
		}
		return all
	}
	one, two := protocol.ID{Origin: [16]byte{1}}, protocol.ID{Origin: [16]byte{1}, Group: 1}
	a, b := tagged("a", 0, "1", "2"), tagged("b", 0, "3")
	seen := map[string]string{}
	for name, all := range map[string][]string{
		"batch": keys("jsonl", perBatch, []protocol.ID{one, two}, a, b),
		"group": keys("jsonl", perGroup, []protocol.ID{one, two}, a, b),
		"log":   keys("json", perBatch, []protocol.ID{one, two}, a, b),
		"bytes": keys("loggroup", perBatch, []protocol.ID{one, two}, a, b),
	} {
		for _, k := range all {
			if other, twice := seen[k]; len(k) != 32 || twice {
				t.Errorf("%s has the key %q, as %s", name, k, other)
			}
			seen[k] = name
		}
	}
	if len(seen) != 1+2+3+1 {
		t.Errorf("%d keys, want 7", len(seen))
	}
	for _, k := range append(keys("jsonl", perGroup, []protocol.ID{two}, b), keys("json", perBatch, []protocol.ID{two}, b)...) {
		if seen[k] == "" {
			t.Errorf("the key %s of a group that was sent before is another than before", k)
		}
	}
	if got := keys("jsonl", perBatch, nil, a); got[0] != "" {
		t.Errorf("groups without ids have the key %s", got[0])
	}
}
