package nats

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	queue "github.com/flushline/flushline/queue/nats"
)

const (
	connectFor  = 5 * time.Second  // at Init; the lane tries again
	askIfThere  = 10 * time.Second // a server that is silent that long is asked, and lost after three
	refusalLook = time.Second
	closeFor    = 4 * time.Second // Stop has five
)

// destination is a connection, shared by the lanes of a process with the same servers
// and credentials. It connects again by itself for ever.
type destination struct {
	conn    *queue.Conn
	refused atomic.Pointer[error] // why no server takes us back; nil: none does, or it is only away
	streams streams

	stop  chan struct{}
	ended sync.WaitGroup
}

// share joins the connection to these servers, or makes it.
func share(c flushers.Context, s *queue.Server) (*destination, func(), error) {
	key, err := shareKey(s)
	if err != nil {
		return nil, nil, err
	}
	v, release, err := c.Shared(key, func() (io.Closer, error) { return connect(c, s) })
	if err != nil {
		if queue.Refused(err) {
			err = flushers.Misconfigured(err)
		}
		return nil, nil, err
	}
	d, ok := v.(*destination)
	if !ok {
		release()
		return nil, nil, fmt.Errorf("couldn't share the connection to nats %s: another kind uses its key with a %T", queue.Redact(s.URL), v)
	}
	return d, release, nil
}

// shareKey holds every option of the connection, hashed as some are secret.
func shareKey(s *queue.Server) (string, error) {
	plain := *s
	text, err := json.Marshal([]any{
		plain.URL, plain.User, plain.Password.Reveal(), plain.Token.Reveal(), plain.NKey, plain.Creds, plain.TLS, plain.Domain, plain.APIPrefix,
	})
	if err != nil {
		return "", fmt.Errorf("couldn't name the connection to nats %s: %w", queue.Redact(s.URL), err)
	}
	sum := sha256.Sum256(text)
	return "nats:" + hex.EncodeToString(sum[:]), nil
}

func connect(c flushers.Context, s *queue.Server) (*destination, error) {
	config := queue.DefaultConfig()
	config.Server, config.ConnectTimeout = *s, connectFor
	conn, err := queue.Connect(c.GetRuntimeContext(), &config, c.Logger(), nats.PingInterval(askIfThere))
	if err != nil {
		return nil, err
	}
	d := &destination{conn: conn, stop: make(chan struct{})}
	d.ended.Go(d.watch)
	return d, nil
}

func (d *destination) ready() bool { return d.conn.Up() || d.refused.Load() != nil }

// watch finds out why a server that is there does not take us back. nats.go tells
// nobody: what it knows has to be asked for, and its lock may be held for seconds.
func (d *destination) watch() {
	look := time.NewTicker(refusalLook)
	defer look.Stop()
	for {
		changed := d.conn.Changed()
		var why *error
		if !d.conn.Up() {
			if err := d.conn.Refusal(); err != nil {
				why = &err
			}
		}
		d.refused.Store(why)
		again := look.C
		if d.conn.Up() {
			again = nil
		}
		select {
		case <-d.stop:
			return
		case <-changed:
		case <-again:
		}
	}
}

// Close ends the connection. It is left behind if something is being written to a
// server that does not read.
func (d *destination) Close() error {
	close(d.stop)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.conn.Close()
		d.ended.Wait()
	}()
	patience := time.NewTimer(closeFor)
	defer patience.Stop()
	select {
	case <-done:
		return nil
	case <-patience.C:
		return errors.New("the connection to nats is still being closed")
	}
}
