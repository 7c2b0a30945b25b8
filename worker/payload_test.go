package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// tagged is a line of custom_single whose key is in its tags.
func tagged(project, id string) string {
	return `{"contents":{"id":"` + id + `"},"tags":{"project":"` + project + `"}}` + "\n"
}

// fromTags is a worker that reads anything, keyed by the tag project.
func fromTags(s *checker.Script) worker.Config {
	return worker.Config{
		Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))},
		Payload: worker.Payload{Format: protocol.FormatAuto, Key: []worker.KeyRule{
			{From: worker.KeyHeaders},
			{From: worker.KeyTag, Parts: protocol.Key{Project: "project"}},
			{From: worker.KeyConstant, Parts: protocol.Key{Logstore: "l", Config: "c"}},
		}},
	}
}

// The groups of one message of JSON have keys of their own; a letter of one holds
// that one as protobuf, with its place among them, and is read again as what it was.
func TestGroupsOfJSONGoTheirOwnWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Fail(flushers.Permanent(errors.New("400")))
		r := start(t, memory.Config{}, fromTags(s))
		r.q.Publish(queue.Message{Value: []byte(tagged("a", "1") + tagged("a", "2") + tagged("b", "3") + tagged("a", "4"))})
		r.acked(1)
		undo()
		letters := r.letters.Messages()
		if len(letters) != 3 {
			t.Fatalf("%d letters of 3 groups", len(letters))
		}
		got := map[string]string{}
		for _, m := range letters {
			var g protocol.LogGroup
			if err := g.Unmarshal(m.Value); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, l := range g.Logs {
				ids = append(ids, l.Contents[0].Value)
			}
			index, _ := m.Header(queue.HeaderGroups)
			project, _ := m.Header(protocol.HeaderProject)
			kind, _ := m.Header(protocol.HeaderContentType)
			got[index] = fmt.Sprint(project, " ", ids, " ", kind)
		}
		if diff := cmp.Diff(map[string]string{
			"0": "a [1 2] " + protocol.TypeLogGroup, "1": "b [3] " + protocol.TypeLogGroup, "2": "a [4] " + protocol.TypeLogGroup,
		}, got); diff != "" {
			t.Error(diff)
		}
		r.q.Publish(letters...)
		r.acked(4)
		r.mustStop()
		r.drained()
		if st := s.Stats(); st.Groups != 3 {
			t.Errorf("the letters put back were stored as %d groups", st.Groups)
		}
	})
}

// What cannot be decoded stays as it came; what can be and has no target is stored
// as what its headers say.
func TestLettersOfOtherFormats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, memory.Config{}, fromTags(checker.New()))
		json := queue.Header{Key: "Content-Type", Value: "application/json"}
		text := queue.Header{Key: "Content-Type", Value: "text/plain"}
		r.q.Publish(
			queue.Message{Value: []byte(`{"contents":{"id":"1"}`), Headers: []queue.Header{json}},
			queue.Message{Value: []byte("some text")},
			queue.Message{Value: []byte(tagged("a", "1")), Headers: []queue.Header{json, {Key: queue.HeaderTo, Value: "test/gone/out"}}},
			queue.Message{Value: []byte("some text"), Headers: []queue.Header{text}},
			queue.Message{Value: []byte(" [] "), Headers: []queue.Header{json}},
		)
		r.acked(5)
		got := map[string]string{}
		for _, m := range r.letters.Messages() {
			reason, _ := m.Header(queue.HeaderReason)
			kind, _ := m.Header(protocol.HeaderContentType)
			why, _ := m.Header(queue.HeaderError)
			if reason != worker.ReasonUndecodable {
				f, err := protocol.ParseContentType(kind)
				if _, groups, err2 := protocol.Scan(m.Value, f, protocol.EncodingNone, nil, nil); err != nil || err2 != nil || len(groups) != 1 {
					t.Errorf("%s: %v, %v, %d groups", reason, err, err2, len(groups))
				}
				why, m.Value = "", nil
			}
			got[reason+" "+string(m.Value)] = kind + " " + why
		}
		list, one := protocol.TypeLogGroupList, protocol.TypeLogGroup
		for what, want := range map[string]string{
			`undecodable {"contents":{"id":"1"}`: "application/json couldn't decode the value: this is no json: the text is cut off",
			"undecodable some text":              " couldn't decode the value: its first byte 0x73 begins neither LogGroup protobuf nor JSON",
			"unknown_target ":                    list,
			"no_key ":                            one,
		} {
			if g, ok := got[what]; !ok || !strings.HasPrefix(g, want) {
				t.Errorf("%s: got %q, want %q", what, g, want)
			}
		}
		r.mustStop()
		r.drained()
	})
}

// Protobuf made of JSON may be larger than what was received: it is charged.
func TestJSONThatGrowsIsCharged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		cfg := fromTags(s)
		cfg.Payload.Key = []worker.KeyRule{{From: worker.KeyConstant, Parts: protocol.Key{Project: "p", Logstore: "l", Config: "c"}}}
		cfg.Limits.InFlight, cfg.Limits.Message = 4<<20, 1<<20
		r := start(t, memory.Config{}, cfg)
		value := "[" + strings.Repeat("{},", 100_000) + "{}]" // 3 bytes become 9: a log with a Time
		for range 40 {
			r.q.Publish(queue.Message{Value: []byte(value)})
		}
		time.Sleep(time.Minute)
		if p := r.w.Status().Pools[0]; p.Used <= p.Limit/2 || p.Used > p.Limit+3*int64(len(value)) {
			t.Errorf("%d bytes of %d are used, and a message has %d", p.Used, p.Limit, len(value))
		}
		s.SetReady(true)
		r.acked(40)
		r.mustStop()
		r.drained()
		if st := s.Stats(); st.Groups != 40 {
			t.Errorf("%d groups of 40", st.Groups)
		}
	})
}

// A log that names no time has that of the broker.
func TestLogsWithoutATimeHaveTheBrokers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, fromTags(s))
		time.Sleep(time.Hour)
		published := time.Now()
		r.q.Publish(queue.Message{Value: []byte(tagged("a", "1")), Time: published})
		r.acked(1)
		if got := s.Groups()[0].Logs[0].Time; got != uint32(published.Unix()) {
			t.Errorf("the log's time is %d, the broker's %d", got, published.Unix())
		}
		r.mustStop()
	})
}
