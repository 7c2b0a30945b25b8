package nats

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Every request lives for pullExpires at most, and the server says every
// pullHeartbeat that it still has it.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	pulseLimit    = 2*pullHeartbeat + time.Second
	pullLimit     = pullExpires + 2*pullHeartbeat
)

// inbox is where the answers to requests come. Each reconnect gets a new one, so
// that requests the old server still has find nobody interested and end.
type inbox struct {
	sub    *nats.Subscription
	prefix string // with the final dot
	line   int64  // the connection it was made on
	next   uint64
}

func (c *Conn) newInbox(line int64, receive nats.MsgHandler) (*inbox, error) {
	prefix := c.nc.NewInbox() + "."
	sub, err := c.nc.Subscribe(prefix+"*", receive)
	if err != nil {
		return nil, fmt.Errorf("couldn't subscribe to the inbox of pull requests: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by what was asked
		return nil, fmt.Errorf("couldn't lift the limits of the inbox: %w", err)
	}
	return &inbox{sub: sub, prefix: prefix, line: line}, nil
}

// close ends the subscription without losing what has arrived. On the connection
// it was made on, what the server sent before it knows arrives, too; on another
// one the server must not be reminded of it.
func (i *inbox) close(line int64) {
	if line == i.line {
		if i.sub.Drain() == nil {
			return
		}
	}
	for range 200 {
		if n, _, err := i.sub.Pending(); err != nil || n == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	// It is closed already if this fails.
	_ = i.sub.Unsubscribe()
}

// settle waits until a closed inbox has handed over everything. It must not be
// called from the inbox's own callback.
func (i *inbox) settle() {
	for range 1000 {
		if !i.sub.IsValid() {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// number is which request a status answers; false if it is of another inbox.
func (i *inbox) number(subject string) (uint64, bool) {
	if i == nil {
		return 0, false
	}
	digits, ok := strings.CutPrefix(subject, i.prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// limits are what a consumer's configuration allows of one request; zero is no
// limit.
type limits struct {
	batch   int
	bytes   int64
	expires time.Duration
}

// request sends a pull request for one.
func (c *Conn) request(to Consumer, in *inbox, one pull, lim limits, unlimited bool) error {
	expires, heartbeat := pullExpires, pullHeartbeat
	if lim.expires > 0 && lim.expires < expires {
		expires = lim.expires
		heartbeat = min(heartbeat, expires/2)
	}
	b := make([]byte, 0, 96)
	b = append(b, `{"batch":`...)
	b = strconv.AppendInt(b, int64(one.msgs), 10)
	if !unlimited {
		b = append(b, `,"max_bytes":`...)
		b = strconv.AppendInt(b, one.bytes, 10)
	}
	b = append(b, `,"expires":`...)
	b = strconv.AppendInt(b, int64(expires), 10)
	b = append(b, `,"idle_heartbeat":`...)
	b = strconv.AppendInt(b, int64(heartbeat), 10)
	b = append(b, '}')
	reply := in.prefix + strconv.FormatUint(one.id, 10)
	return c.nc.PublishRequest(c.prefix+"CONSUMER.MSG.NEXT."+to.Stream+"."+to.Durable, reply, b)
}
