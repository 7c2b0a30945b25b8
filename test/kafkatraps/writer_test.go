package kafkatraps

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// A writer made as a literal asks for no acknowledgement: what the broker refuses
// is lost without an error. Hence every write here waits for all replicas in sync.
func TestAWriterMadeAsALiteralLosesWhatIsRefused(t *testing.T) {
	b, topic := topicOf(t, 1, 0, map[string]string{"max.message.bytes": "1000"})
	tooLarge := kafka.Message{Topic: topic, Value: bytes.Repeat([]byte("x"), 10_000)}
	transport := new(kafka.Transport) // the shared one may not know the topic yet
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(b.Addr()), Transport: transport, BatchTimeout: time.Millisecond}
	if err := w.WriteMessages(within(t, 20*time.Second), tooLarge); err != nil || w.RequiredAcks != kafka.RequireNone {
		t.Errorf("a literal: %v, acks %v; it was no error", err, w.RequiredAcks)
	}
	w.Close()
	if end := b.Ends(t, topic)[0]; end != 0 {
		t.Errorf("the log ends at %d", end)
	}
	w = &kafka.Writer{Addr: kafka.TCP(b.Addr()), Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll, MaxAttempts: 3} // the broker closed the connection that got no answer
	defer w.Close()
	err := w.WriteMessages(within(t, 20*time.Second), tooLarge)
	var each kafka.WriteErrors // errors.Is does not look into it
	if !errors.As(err, &each) || !errors.Is(each[0], kafka.MessageSizeTooLarge) {
		t.Errorf("with RequireAll: %v", err)
	}
}
