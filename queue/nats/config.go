package nats

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Config says which JetStream consumers are read and how the servers are
// reached. It is the block `source.nats` of the configuration file.
type Config struct {
	Server

	Stream   string   `option:"stream" help:"The JetStream stream to read." example:"LOGS"`
	Durable  string   `option:"durable" help:"The durable pull consumer that all pods of a deployment share. It is the deployment's name." example:"flushline"`
	Subjects []string `option:"subjects" help:"Subject filters of the consumer; default: everything in the stream." example:"logs.>"`

	Consumers []Consumer `option:"consumers" help:"Several consumers in one source, instead of stream, durable and subjects."`

	AckWait time.Duration `option:"ack_wait" help:"How long the server waits for a mark of life before it delivers a message again; setup creates the consumer with it. At least 6s."`
	MaxPods int           `option:"max_pods" help:"How many pods share the consumer at most: each holds at most max_ack_pending / max_pods messages."`

	Name           string        `option:"name" help:"Client name shown by the server; default: flushline and the host's name."`
	ConnectTimeout time.Duration `option:"connect_timeout" help:"How long a start waits for the server; 0 waits for ever."`

	// Strict has messages come in their order: the consumer must hand out one at a
	// time, over all pods.
	Strict bool
}

// Consumer names one durable pull consumer.
type Consumer struct {
	Stream   string   `option:"stream,required" help:"The JetStream stream to read."`
	Durable  string   `option:"durable,required" help:"The durable pull consumer."`
	Subjects []string `option:"subjects" help:"Subject filters; default: everything in the stream."`
}

// MinAckWait is the shortest ack wait that leaves room for three marks and the
// incarnation check between them.
const MinAckWait = 6 * time.Second

// DefaultConfig is a Config with the documented defaults.
func DefaultConfig() Config {
	host, _ := os.Hostname() // only the default client name misses it
	return Config{
		Server:         DefaultServer(),
		Name:           strings.TrimSuffix("flushline "+host, " "),
		AckWait:        60 * time.Second,
		MaxPods:        10,
		ConnectTimeout: 60 * time.Second,
	}
}

// List is the consumers the source reads: Consumers, or the one that Stream,
// Durable and Subjects name.
func (c *Config) List() []Consumer {
	if len(c.Consumers) > 0 {
		return c.Consumers
	}
	return []Consumer{{Stream: c.Stream, Durable: c.Durable, Subjects: c.Subjects}}
}

// Validate finds every contradiction that can be seen without a server.
func (c *Config) Validate() error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	errs = append(errs, c.Check())
	bad(len(c.Consumers) > 0 && (c.Stream != "" || c.Durable != "" || len(c.Subjects) > 0),
		"consumers excludes stream, durable and subjects: move them into the list")
	bad(c.AckWait < MinAckWait, "ack_wait is %v: at least %v is needed to keep held messages ours", c.AckWait, MinAckWait)
	bad(c.MaxPods < 1, "max_pods is %d: write how many pods share the consumer at most", c.MaxPods)
	bad(c.ConnectTimeout < 0, "connect_timeout is %v: write 0 to wait for ever", c.ConnectTimeout)
	seen := map[[2]string]bool{}
	for i, one := range c.List() {
		where := "stream and durable"
		if len(c.Consumers) > 0 {
			where = fmt.Sprintf("consumers[%d]", i)
		}
		errs = append(errs, checkName(where+": stream", one.Stream), checkName(where+": durable", one.Durable))
		for j, subject := range one.Subjects {
			path := fmt.Sprintf("subjects[%d]", j)
			if len(c.Consumers) > 0 {
				path = where + "." + path
			}
			errs = append(errs, checkSubject(path, subject))
		}
		id := [2]string{one.Stream, one.Durable}
		bad(seen[id], "%s: %s/%s is listed twice", where, one.Stream, one.Durable)
		seen[id] = true
	}
	return errors.Join(errs...)
}

// checkSubject refuses filters that match nothing a server would store.
func checkSubject(path, subject string) error {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		switch {
		case token == "" || strings.ContainsAny(token, " \t\r\n"):
			return fmt.Errorf("%s %q has an empty part or a space: write parts joined by dots, such as logs.>", path, subject)
		case token == ">" && i < len(tokens)-1:
			return fmt.Errorf("%s %q: > must be the last part; write * for one part in the middle", path, subject)
		case len(token) > 1 && strings.ContainsAny(token, "*>"):
			return fmt.Errorf("%s %q: * and > stand for whole parts between dots, so %q matches only itself", path, subject, token)
		}
	}
	return nil
}

// checkName refuses what cannot be one token of an API subject or a directory
// of the server.
func checkName(where, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is missing", where)
	case strings.ContainsAny(name, ". */\\>\t\r\n"):
		return fmt.Errorf("%s %q must not hold dots, spaces, slashes or wildcards", where, name)
	}
	return nil
}
