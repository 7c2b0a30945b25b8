package cmd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

func showing(t *testing.T, l *queue.Letter, contents bool) string {
	t.Helper()
	p, out := printing()
	o := &dlqShowOptions{contents: contents}
	if err := o.check([]string{l.Name()}); err != nil {
		t.Fatal(err)
	}
	if err := p.showLetters(t.Context(), o, shopRoutes, &keptBox{letters: []*queue.Letter{l}}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestValuesAreShownOnlyOnDemand(t *testing.T) {
	t.Parallel()
	l := groupLetter(1, "a secret")
	l.Key = []byte("secret-key")
	got := showing(t, l, false)
	for _, text := range []string{"flusher       shop/es\n", "key           shop/web/c", "trace: abc", "id 0107" + strings.Repeat("0", 28) + "-3", "tag host = <11 bytes>", "msg = <8 bytes>", "- <10 bytes>", "(message key): <10 bytes>", "2026-01-02T12:00:00Z"} {
		if !strings.Contains(got, text) {
			t.Errorf("%q is not in\n%s", text, got)
		}
	}
	for _, secret := range []string{"secret", "positional", "x-flushline"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is in\n%s", secret, got)
		}
	}
	got = showing(t, l, true)
	for _, text := range []string{"tag host = secret-host", "msg = a secret", "- positional", "(message key): secret-key"} {
		if !strings.Contains(got, text) {
			t.Errorf("%q is not in\n%s", text, got)
		}
	}
}

func TestWhatIsNoLogGroupIsShownAsBytes(t *testing.T) {
	t.Parallel()
	l := kept("D", 1, queue.HeaderReason, worker.ReasonUndecodable)
	l.Value = []byte("not a group, and a secret")
	got := showing(t, l, false)
	if !strings.Contains(got, "couldn't decode") || !strings.Contains(got, "|not a group, and|") || !strings.Contains(got, "9 bytes: --contents") || strings.Contains(got, "secret") {
		t.Errorf("redacted:\n%s", got)
	}
	if got = showing(t, l, true); !strings.Contains(got, "| a secret|") {
		t.Errorf("in full:\n%s", got)
	}
	l = groupLetter(1, "x")
	l.Damage = errors.New("its format is 2")
	if got = showing(t, l, true); !strings.Contains(got, "damaged       its format is 2") || strings.Contains(got, "LogGroup") {
		t.Errorf("of a later format:\n%s", got)
	}
}

func TestRawIsThePayload(t *testing.T) {
	t.Parallel()
	l := groupLetter(1, "a\x00b")
	p, out := printing()
	o := &dlqShowOptions{raw: true}
	if err := errors.Join(o.check([]string{"D/1"}), p.showLetters(t.Context(), o, shopRoutes, &keptBox{letters: []*queue.Letter{l}})); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), l.Value) {
		t.Errorf("%q", out)
	}
	l.Damage = errors.New("cut")
	out.Reset()
	err := p.showLetters(t.Context(), o, shopRoutes, &keptBox{letters: []*queue.Letter{l}})
	if report(io.Discard, err) != exitIncomplete || out.Len() > 0 {
		t.Errorf("damaged: %v, %q", err, out)
	}
}
