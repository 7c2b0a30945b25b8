package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/protocol"
	queue "github.com/flushline/flushline/queue/nats"
)

const (
	askFor = 2 * time.Second // the server, for what it may not want to tell
	keepIt = time.Minute     // what it told of a stream

	// shortWindow is below what a group may need to come again: the ack wait of a source
	// that was killed, a minute by default, and the time in which the worker starts.
	shortWindow = 2 * time.Minute
)

// streams is what is known of the streams behind a connection. Nothing fails when the
// server does not tell: the account may not be allowed to ask.
type streams struct {
	mu     sync.Mutex
	known  map[string]seen
	warned map[string]bool
}

type seen struct {
	config *jetstream.StreamConfig
	err    error
	until  time.Time
}

// of is the names of the streams that listen to a subject or to part of a filter.
func (s *streams) of(ctx context.Context, conn *queue.Conn, filter string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var answer struct {
		Streams []string `json:"streams"`
	}
	err := conn.Request(ctx, "STREAM.NAMES", map[string]string{"subject": filter}, &answer)
	return answer.Streams, err
}

// config is a stream's, as old as a minute.
func (s *streams) config(ctx context.Context, conn *queue.Conn, name string) (*jetstream.StreamConfig, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // 10,000 lanes ask at once, and the server once
	if k, ok := s.known[name]; ok && time.Now().Before(k.until) {
		return k.config, k.err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var answer struct {
		Config jetstream.StreamConfig `json:"config"`
	}
	k := seen{err: conn.Request(ctx, "STREAM.INFO."+name, nil, &answer), until: time.Now().Add(keepIt)}
	if k.err == nil {
		k.config = &answer.Config
	} else {
		k.until = time.Now().Add(askFor)
	}
	if s.known == nil {
		s.known = map[string]seen{}
	}
	s.known[name] = k
	return k.config, k.err
}

// once says whether this was not said before of an entry.
func (s *streams) once(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.warned[what] {
		return false
	}
	if s.warned == nil {
		s.warned = map[string]bool{}
	}
	s.warned[what] = true
	return true
}

// filter is the subjects of this instance, as a subscription would have them.
func (f *Flusher) filter() string {
	v := protocol.TemplateVars{Key: f.key, Host: f.host}
	text := f.Subject.Known(&v, names.NATSToken.Safe, func(string) string { return "*" })
	tokens := strings.Split(text, ".")
	for i, t := range tokens {
		if strings.Contains(t, "*") {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// inspect looks at the streams that will get the messages: an error is what keeps every
// message from being stored, and what makes a Flush promise less than it should is
// logged, once for an entry.
func (f *Flusher) inspect(c flushers.Context) error {
	ctx := c.GetRuntimeContext()
	found := []string{f.Stream}
	if f.Stream == "" {
		var asked error
		if found, asked = f.to.streams.of(ctx, f.to.conn, f.filter()); asked == nil && len(found) == 0 {
			return flushers.Misconfigured(fmt.Errorf("no stream listens to the subject %q: %s", f.filter(), f.mend()))
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("couldn't look at the stream: %w", err)
	}
	for _, name := range found {
		config, err := f.to.streams.config(ctx, f.to.conn, name)
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamNotFound {
			return flushers.Misconfigured(fmt.Errorf("there is no stream %s: %s", name, f.mend()))
		}
		if err != nil {
			continue // the account may not ask
		}
		if err := unfit(config); err != nil {
			return flushers.Misconfigured(err)
		}
		for _, text := range f.doubts(config) {
			if f.to.streams.once(f.entry + "\x00" + name + "\x00" + text) {
				c.Logger().Warn(text, zap.String("stream", name))
			}
		}
	}
	return nil
}

// unfit says why a stream acknowledges no logs.
func unfit(c *jetstream.StreamConfig) error {
	switch {
	case c.NoAck:
		return fmt.Errorf("the stream %[1]s acknowledges nothing (no_ack), so nobody knows what it stored: `nats stream edit %[1]s --ack`", c.Name)
	case c.Sealed:
		return fmt.Errorf("the stream %s is sealed and takes no messages: choose another one", c.Name)
	}
	return nil
}

// doubts are what makes an acknowledgement worth less.
func (f *Flusher) doubts(c *jetstream.StreamConfig) (texts []string) {
	if f.Dedupe && c.Duplicates < shortWindow {
		texts = append(texts, fmt.Sprintf("the target stream knows for %v (duplicate_window) what it has: what comes again later, after a kill, an outage or a replay, is stored twice; "+
			"`nats stream edit %s --dupe-window 10m`", c.Duplicates, c.Name))
	}
	if c.Storage == jetstream.MemoryStorage {
		texts = append(texts, "the target stream is in memory: a restart of its server loses what was acknowledged; make it one with file storage")
	}
	if c.PersistMode == jetstream.AsyncPersistMode {
		texts = append(texts, "the target stream acknowledges before it has written (persist_mode async): make it one without")
	}
	return texts
}
