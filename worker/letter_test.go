package worker_test

import (
	"errors"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A letter says how it is stored, so that a worker with the same defaults reads it
// again, and keeps what names its target and its groups.
func TestLettersCanBeReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Fail(flushers.Permanent(errors.New("400")))
		cfg := worker.Config{Routes: []worker.Route{routeOf("p", worker.Match{Project: "p"}, entryOf("out", s))}}
		cfg.Payload.Encoding = protocol.EncodingGzip
		r := start(t, memory.Config{}, cfg)
		packed, err := protocol.Compress(nil, encode(t, group("1")), protocol.EncodingGzip)
		if err != nil {
			t.Fatal(err)
		}
		r.q.Publish(
			keyed("p", "l", packed),
			withSubject(keyed("nowhere", "l", packed, queue.Header{Key: "X-Flushline-Hops", Value: "3"}), "logs.nowhere.l"),
			keyed("p", "l", packed, queue.Header{Key: "X-Flushline-To", Value: "test/p/gone"},
				queue.Header{Key: "x-flushline-groups", Value: "7"}, queue.Header{Key: "Content-Encoding", Value: "gzip"}),
			keyed("p", "l", []byte("no gzip"), queue.Header{Key: "Content-Encoding", Value: "gzip"}),
		)
		r.acked(4)
		letters := map[string]queue.Message{}
		for _, m := range r.letters.Messages() {
			reason, _ := m.Header(queue.HeaderReason)
			letters[reason] = m
		}
		for reason, want := range map[string]map[string]string{
			"permanent":      {"content-encoding": "none", "content-type": protocol.TypeLogGroup, queue.HeaderTo: "test/p/out"},
			"no_route":       {"content-encoding": "none", "content-type": protocol.TypeLogGroup, queue.HeaderHops: "3", queue.HeaderSubject: "logs.nowhere.l"},
			"unknown_target": {"content-encoding": "none", queue.HeaderTo: "test/p/gone", queue.HeaderGroups: "7"},
			"undecodable":    {"content-encoding": "gzip"},
		} {
			m, ok := letters[reason]
			if !ok {
				t.Errorf("no letter is %s", reason)
			}
			for key, value := range want {
				if got, _ := m.Header(key); got != value {
					t.Errorf("%s: header %s is %q, want %q", reason, key, got, value)
				}
			}
		}
		undo()
		r.q.Publish(letters["permanent"])
		r.acked(5)
		r.mustStop()
		if n := s.Stats().Groups; n != 1 {
			t.Errorf("the letter put back was stored %d times", n)
		}
	})
}

func withSubject(m queue.Message, subject string) queue.Message {
	m.Subject = subject
	return m
}
