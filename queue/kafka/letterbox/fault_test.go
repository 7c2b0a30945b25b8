package letterbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/letterbox"
)

func (r *rig) move(topic string, partition, to int32) {
	r.Helper()
	if err := r.fake.MoveTopicPartition(topic, partition, to); err != nil {
		r.Fatal(err)
	}
}

func TestLeadersThatMove(t *testing.T) {
	t.Parallel()
	r := fake(t, 1, kfake.NumBrokers(3))
	r.put("a", "b", "c")
	b := r.box()
	ls := r.read(b)
	for i, l := range ls {
		to := int32(i % 3)
		r.move(letters, 0, to)
		if i > 0 {
			r.move(done, 0, (to+1)%3)
		}
		if err := b.Resolve(t.Context(), []*queue.Letter{l}); err != nil {
			t.Fatal(err)
		}
		if n := len(r.read(b)); n != len(ls)-i-1 {
			t.Errorf("%d letters behind %d resolved", n, i+1)
		}
	}
	r.move(letters, 0, 1)
	if _, err := b.Free(t.Context()); err != nil || r.begins() != 3 {
		t.Errorf("the log begins at %d: %v", r.begins(), err)
	}
}

// A leader that moves in the midst of reading: each letter comes once.
func TestALeaderThatMovesMeanwhile(t *testing.T) {
	t.Parallel()
	r := fake(t, 1, kfake.NumBrokers(2))
	value := make([]byte, 700_000)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		r.putAll(letter(name, value))
	}
	b, names, n := r.box(), "", int32(0)
	err := b.Letters(t.Context(), func(l *queue.Letter) error {
		names += nameOf(l)
		n++
		r.move(letters, 0, n%2)
		return nil
	})
	if err != nil || names != "abcdefgh" {
		t.Errorf("%s, %v", names, err)
	}
}

// A broker that does not answer hides its own letters only, and is named.
func TestABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	r := fake(t, 2, kfake.NumBrokers(2))
	r.putAll()
	r.move(letters, 0, 0)
	r.move(letters, 1, 1)
	r.produce(0, "a", "b")
	r.produce(1, "c")
	b := r.box()
	letterbox.Patience(b, 2*time.Second)
	if err := b.Resolve(t.Context(), r.some(b, "b")); err != nil {
		t.Fatal(err)
	}
	r.move(done, 0, 0)
	away := func(kmsg.Request) (kmsg.Response, error, bool) {
		r.fake.KeepControl()
		if r.fake.CurrentNode() == 1 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	}
	r.fake.ControlKey(int16(kmsg.ListOffsets), away)
	r.fake.ControlKey(int16(kmsg.Fetch), away)
	ls, err := r.tryRead(b)
	if namesOf(ls) != "a" {
		t.Errorf("it shows %s", namesOf(ls))
	}
	mustContain(t, err, letters+"[1]", r.fake.ListenAddrs()[1])
	if err := b.Resolve(t.Context(), ls); err != nil {
		t.Fatal(err)
	}
	_, err = b.Free(t.Context())
	mustContain(t, err, letters+"[1]")
	if at := r.begins(); at != 2 {
		t.Errorf("the log of the other begins at %d", at)
	}
}

// Without the marks nothing is shown: what is resolved would be replayed again.
func TestMarksThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := fake(t, 1, kfake.NumBrokers(2))
	r.put("a", "b")
	r.resolve("a")
	r.move(letters, 0, 0)
	r.move(done, 0, 1)
	r.fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.fake.KeepControl()
		if r.fake.CurrentNode() == 1 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	b := r.box()
	letterbox.Patience(b, 2*time.Second)
	ls, err := r.tryRead(b)
	if len(ls) > 0 {
		t.Errorf("it shows %s", namesOf(ls))
	}
	mustContain(t, err, "which letters of kafka topic "+letters+" are resolved", done+"[0]")
	if _, err = b.Free(t.Context()); err == nil || r.begins() != 0 {
		t.Errorf("the log begins at %d: %v", r.begins(), err)
	}
}
