package nats

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// incarnation is one life of a consumer and its stream. An acknowledgement is
// only ever sent to the incarnation that delivered the message.
type incarnation struct {
	consumer time.Time // when each was created
	stream   time.Time
}

func (i incarnation) String() string {
	return strconv.FormatInt(i.stream.UnixNano(), 36) + "-" + strconv.FormatInt(i.consumer.UnixNano(), 36)
}

// seed makes origins that differ when the stream was made anew.
func (i incarnation) seed(stream string) queue.OriginSeed { return StreamSeed(stream, i.stream) }

// StreamID names one life of a stream: another one when it was deleted and made
// anew.
func StreamID(stream string, created time.Time) string {
	return stream + "@" + created.UTC().Format(time.RFC3339Nano)
}

// StreamSeed is what the origins of a stream's messages derive from.
func StreamSeed(stream string, created time.Time) queue.OriginSeed {
	return queue.NewOriginSeed(StreamID(stream, created), stream)
}

// infoTimeout bounds one question to the server, so that the answer, or its
// absence, is known well within an ack wait.
const infoTimeout = 2 * time.Second

// askConsumer asks for the state of a consumer.
func (c *Conn) askConsumer(ctx context.Context, one Consumer) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	var info jetstream.ConsumerInfo
	if err := c.Request(ctx, "CONSUMER.INFO."+one.Stream+"."+one.Durable, nil, &info); err != nil {
		return nil, fmt.Errorf("couldn't read consumer %s of stream %s: %w", one.Durable, one.Stream, err)
	}
	return &info, nil
}

// askStream asks for the state of a stream.
func (c *Conn) askStream(ctx context.Context, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	var info jetstream.StreamInfo
	if err := c.Request(ctx, "STREAM.INFO."+stream, nil, &info); err != nil {
		return nil, fmt.Errorf("couldn't read stream %s: %w", stream, err)
	}
	return &info, nil
}

// birth is a consistent reading of an incarnation: what was known before any
// message was asked for, and the connection it was read on.
type birth struct {
	incarnation
	consumer *jetstream.ConsumerInfo
	stream   *jetstream.StreamInfo
	line     int64
}

var errChanging = errors.New("the consumer is being made anew")

// observe reads consumer, stream and consumer again: a recreation between the
// readings shows.
func (c *Conn) observe(ctx context.Context, one Consumer) (*birth, error) {
	line := c.line.number()
	before, err := c.askConsumer(ctx, one)
	if err != nil {
		return nil, err
	}
	stream, err := c.askStream(ctx, one.Stream)
	if err != nil {
		return nil, err
	}
	after, err := c.askConsumer(ctx, one)
	if err != nil {
		return nil, err
	}
	if !before.Created.Equal(after.Created) || line == 0 || c.line.number() != line {
		return nil, errChanging
	}
	return &birth{
		incarnation: incarnation{consumer: after.Created, stream: stream.Created},
		consumer:    after,
		stream:      stream,
		line:        line,
	}, nil
}

// Missing says that the server knows no such consumer or stream.
func Missing(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeConsumerNotFound || api.ErrorCode == jetstream.JSErrCodeStreamNotFound)
}

// Away says that no answer came, or only that none can be given now, rather than
// a refusal.
func Away(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == http.StatusServiceUnavailable
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}
