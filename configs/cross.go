package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/worker"
)

// placed is where an entry writes, and in which format.
type placed struct{ path, format string }

// crossChecks compares values of different blocks. Each problem stands at the
// value that has to change: the one that was given, if only one was.
func (l *loader) crossChecks(root *option.Node, start option.Pos, c *Config) {
	l.messageFits(root, start, c)
	l.messageTaken(root, start, c)
	l.listeners(root, start, c)
	l.kafkaSource(root, start, c)
	l.fileSource(root, start, c)
	l.removal(root, start, c)
	l.needsCompanion(root, start, c)
	l.strictOrder(root, c)
	writers := map[string]*Entry{}
	for i := range c.Routes {
		for j := range c.Routes[i].Flushers {
			e := &c.Routes[i].Flushers[j]
			l.endsWithinDrain(root, start, c, e)
			l.onePlaceOneFormat(writers, e)
		}
	}
	l.sharedStrand(root, c)
}

// removal refuses what cannot be done with what a removed flusher holds.
func (l *loader) removal(root *option.Node, start option.Pos, c *Config) {
	if c.Removed == string(worker.RemovedDeadLetter) && c.DeadLetter.None {
		l.errorf(root.Place(start, "removed"), "removed", "write drain", "removed: dead_letter has no place to put them: dead_letter is none")
	}
}

func (l *loader) messageFits(root *option.Node, start option.Pos, c *Config) {
	if c.Limits.Message <= c.Limits.InFlight/4 {
		return
	}
	limit := c.Source.messageLimit()
	path := limit
	if given(root, path) == (option.Pos{}) {
		path = "limits.in_flight"
	}
	l.errorf(root.Place(start, path), path, fmt.Sprintf("message %s, or in_flight %s", c.Limits.InFlight/4, c.Limits.Message*4),
		"%s %s is more than a quarter of limits.in_flight %s: one strand could not hold two messages",
		limit, c.Limits.Message, c.Limits.InFlight)
}

// messageTaken compares what the server in the process lets in with what is read.
// Of other servers only a connection tells.
func (l *loader) messageTaken(root *option.Node, start option.Pos, c *Config) {
	if c.Source.Embedded == nil || c.Source.Embedded.MaxPayload <= c.Limits.Message {
		return
	}
	limit := c.Source.messageLimit()
	path := limit
	if given(root, path) == (option.Pos{}) {
		path = "source.embedded.max_payload"
	}
	l.errorf(root.Place(start, path), path, "raise the one or lower the other",
		"%s %s is below source.embedded.max_payload %s: larger messages would be stored to become dead letters",
		limit, c.Limits.Message, c.Source.Embedded.MaxPayload)
}

// endsWithinDrain compares what an entry may take with what a stop allows.
func (l *loader) endsWithinDrain(root *option.Node, start option.Pos, c *Config, e *Entry) {
	drain := option.FormatDuration(c.Drain.Timeout)
	place := func(own option.Pos) option.Pos {
		if own == (option.Pos{}) {
			return root.Place(start, "drain.timeout")
		}
		return own
	}
	if e.FlushTimeout > c.Drain.Timeout {
		l.errorf(place(e.flushTimeoutAt), e.path+".flush_timeout", "shorten it, or lengthen drain.timeout",
			"flush_timeout %s of %s is longer than drain.timeout %s: a stop would cut calls off",
			option.FormatDuration(e.FlushTimeout), e.path, drain)
	}
	if e.Batch.Wait >= c.Drain.Timeout && e.Batch.Wait > 0 {
		l.errorf(place(e.batchWaitAt), e.path+".batch.wait", "shorten it, or lengthen drain.timeout",
			"batch.wait %s of %s is not below drain.timeout %s", option.FormatDuration(e.Batch.Wait), e.path, drain)
	}
}

func (l *loader) onePlaceOneFormat(writers map[string]*Entry, e *Entry) {
	if e.place.path == "" {
		return
	}
	first := writers[e.place.path]
	if first == nil {
		writers[e.place.path] = e
		return
	}
	if first.place.format != e.place.format {
		l.errorf(e.options.Place(e.pos, "format"), e.path, "give one of them another path",
			"%s writes %s as %s, and %s writes it as %s", e.path, e.place.path, e.place.format, first.path, first.place.format)
	}
}

func (l *loader) listeners(root *option.Node, start option.Pos, c *Config) {
	for _, s := range []struct{ path, address string }{
		{"admin.listen", c.Admin.Listen}, {"metrics.listen", c.Metrics.Listen},
	} {
		if s.address == "" {
			continue
		}
		if err := checkAddress(s.address); err != nil {
			l.errorf(root.Place(start, s.path), s.path, "such as 127.0.0.1:8480", "%s %q: %v", s.path, s.address, err)
			return
		}
	}
	if c.Admin.Listen != "" && c.Admin.Listen == c.Metrics.Listen && !strings.HasSuffix(c.Admin.Listen, ":0") {
		l.errorf(root.Place(start, "metrics.listen"), "metrics.listen", "give it another port",
			"admin and metrics both listen on %s", c.Admin.Listen)
	}
	if c.Admin.Listen != "" && !loopback(c.Admin.Listen) && c.Admin.Token.IsZero() {
		l.errorf(root.Place(start, "admin.listen"), "admin.listen", "set admin.token, or listen on 127.0.0.1",
			"admin.listen %s can be reached from other machines and there is no token", c.Admin.Listen)
	}
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("this is not host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port %q does not exist", port)
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// reason is an error without the operation and path it repeats.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
