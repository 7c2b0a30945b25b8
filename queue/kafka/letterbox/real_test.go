package letterbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flushline/flushline/queue/kafka/letterbox"
	"github.com/flushline/flushline/test/kafkabroker"
)

// A broker that dies right behind Free has not written down what it deleted. Whatever it
// finds, no letter comes back that was resolved, and none is gone that was not.
func TestABrokerThatDies(t *testing.T) {
	t.Parallel()
	// Where a log begins is written down now and then, beginning with this delay.
	b := kafkabroker.Start(t, kafkabroker.Options{Props: map[string]string{"log.initial.task.delay.ms": "3600000"}})
	r := real(t, b, 1)
	q := realQueue{r, b}
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("l", i))
	}
	r.put(names...)
	r.shows(strings.Join(names, " "))
	r.resolve(strings.Join(names[:10], " ") + " " + names[15])
	open := strings.Join(append(append([]string{}, names[10:15]...), names[16:]...), " ")
	b.Node(1).Restart(t)
	r.shows(open)
	if text := r.free(); text != q.letters()+"-0 keeps 1 resolved letters behind "+q.letters()+"-0/10, which is open" {
		t.Error(text)
	}
	if at := b.Starts(t, q.letters())[0]; at != 10 {
		t.Errorf("the log begins at %d", at)
	}
	b.Node(1).Kill()
	b.Node(1).Restart(t)
	if at := b.Starts(t, q.letters())[0]; at != 0 {
		t.Errorf("behind a kill the log begins at %d: this test needs a broker that forgets", at)
	}
	r.shows(open)
	// The note of the first time is old by now, and what it says was not true any more.
	r.freeLater(2 * letterbox.Settled)
	r.freeLater(2 * letterbox.Settled)
	b.Node(1).Kill()
	b.Node(1).Restart(t)
	r.shows(open)
	r.resolve(open)
	r.shows("")
	r.put("new")
	r.shows("new")
	if text := r.free(); text != "" {
		t.Error(text)
	}
	r.shows("new")
}
