package nats

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// newAwaited is a burst of n without a server.
func newAwaited(n int) (*answers, *awaited) {
	a := &answers{prefix: "_INBOX.x.", open: map[uint64]*awaited{}}
	return a, a.begin("DLQ", n)
}

func TestAnswersToWhatWasPublished(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data   string
		header nats.Header
		stored bool
		code   int
		is     error
	}{
		"stored":             {data: `{"stream":"DLQ", "seq":7}`, stored: true},
		"stored in a domain": {data: `{"stream":"DLQ", "domain":"hub", "seq":7}`, stored: true},
		"stored before":      {data: `{"stream":"DLQ","seq":7,"duplicate": true}`, stored: true},
		"of another version": {data: `{"seq":7,"stream":"DLQ"}`, stored: true},
		"refused":            {data: `{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"},"stream":"DLQ","seq":0}`, code: 10060},
		"full":               {data: `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"DLQ","seq":0}`, code: 10077},
		"nobody":             {header: nats.Header{"Status": {"503"}}, is: nats.ErrNoResponders},
		"without a sequence": {data: `{"stream":"DLQ","seq":0}`},
		"cut":                {data: `{"stream":"DLQ", "seq":`},
		"empty":              {},
		"another service":    {data: `{"hello":"world"}`},
	} {
		a, b := newAwaited(1)
		a.receive(&nats.Msg{Subject: b.reply(0), Data: []byte(c.data), Header: c.header})
		select {
		case <-b.done:
		default:
			t.Errorf("%s: the answer was not taken for one", name)
			continue
		}
		err := b.errs[0]
		var api *jetstream.APIError
		switch {
		case c.stored != (err == nil):
			t.Errorf("%s: %v", name, err)
		case c.code != 0 && (!errors.As(err, &api) || int(api.ErrorCode) != c.code):
			t.Errorf("%s: %v, want code %d", name, err, c.code)
		case c.is != nil && !errors.Is(err, c.is):
			t.Errorf("%s: %v, want %v", name, err, c.is)
		}
	}
}

func TestAnswersFindTheirMessages(t *testing.T) {
	t.Parallel()
	a, b := newAwaited(3)
	_, other := newAwaited(1)
	yes := []byte(`{"stream":"DLQ", "seq":1}`)
	for _, subject := range []string{
		b.prefix + "3", b.prefix + "-1", b.prefix + "x", b.prefix, a.prefix + "zz.0", other.prefix + "9", "_INBOX.y.1.0",
		b.reply(1), b.reply(1), // the server says it twice
	} {
		a.receive(&nats.Msg{Subject: subject, Data: yes})
	}
	b.unsent(0, ErrAway)
	if b.left != 1 || b.said[2] || b.errs[1] != nil || !errors.Is(b.errs[0], ErrAway) {
		t.Fatalf("left %d, said %v, errors %v", b.left, b.said, b.errs)
	}
	errs := b.over(ErrNoAnswer)
	a.receive(&nats.Msg{Subject: b.reply(2), Data: yes}) // too late: it is published again
	if !errors.Is(errs[2], ErrNoAnswer) {
		t.Errorf("the last is %v", errs[2])
	}
	if len(a.open) != 0 {
		t.Errorf("%d bursts are remembered", len(a.open))
	}
}
