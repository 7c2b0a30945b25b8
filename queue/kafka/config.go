package kafka

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// Config says which topics are read as which group and how the brokers are
// reached. It is the block `source.kafka` of the configuration file.
type Config struct {
	Brokers     []string `option:"brokers" help:"Some brokers of the cluster, host:port; the others are found through them." example:"kafka-1:9092"`
	Topics      []string `option:"topics" help:"The topics to read. One that does not exist yet is read as soon as it does." example:"logs"`
	TopicsRegex string   `option:"topics_regex" help:"Instead of topics: read every topic whose whole name matches this regular expression (RE2), also those that appear later." example:"logs-.*"`
	Group       string   `option:"group" help:"The consumer group that all pods of a deployment share. It is the deployment's name." example:"flushline"`

	InstanceID  string `option:"instance_id" help:"Static membership: a name that this pod keeps over restarts. A restart within the session time then moves no partition. Two processes must never have the same." example:"${env:POD_NAME}"`
	LeaveOnStop bool   `option:"leave_on_stop" help:"With instance_id: leave the group at a stop, so that the others take over at once instead of after the session time. For pods that are scaled down."`

	Session   time.Duration `option:"session" help:"How long the group waits for a sign of life before it gives a pod's partitions to others. The broker bounds it (6s to 30m by default)."`
	Rebalance time.Duration `option:"rebalance" help:"How long the group waits for each pod to rejoin when members change."`
	Heartbeat time.Duration `option:"heartbeat" help:"How often a pod gives a sign of life; at most a third of session."`

	Start      string `option:"start" help:"Where to begin a partition without committed offset: earliest, latest, a time such as 2026-01-02T15:04:05Z, or committed (it must have one, or the partition stops). A partition or topic that appears later always begins at its earliest message." example:"2026-01-02T15:04:05Z"`
	Isolation  string `option:"isolation" enum:"read_committed,read_uncommitted" help:"read_committed: messages of open and aborted transactions are not delivered."`
	OutOfRange string `option:"out_of_range" enum:"earliest,latest,fail" help:"What to do when the broker no longer has, or does not have yet, the position to read from: go on at the earliest message, at the end, or stop that partition. What is passed over is counted."`
	Rack       string `option:"rack" help:"Where this pod runs (broker.rack): replicas in the same place are read where the brokers allow it." example:"eu-west-1a"`
	ClientID   string `option:"client_id" help:"Client name shown in the brokers' logs and quotas."`

	SASL                 SASLConfig `option:"sasl" help:"Who we are, to brokers that ask by SASL."`
	AllowPlainWithoutTLS bool       `option:"allow_plain_without_tls" help:"Let the mechanism plain send the password over connections without TLS, where everybody on the way can read it."`
	TLS                  TLSConfig  `option:"tls" help:"TLS; used if a field is set."`

	Commit         CommitConfig  `option:"commit" help:"When offsets are committed. Nothing waits for a commit; what ended since the last one is delivered again after a kill."`
	Span           int           `option:"span" help:"How many messages the newest one fetched from a partition may be ahead of the oldest one that has not ended. One stuck message stops the partition this many messages later." min:"1" max:"1000000"`
	ConnectTimeout time.Duration `option:"connect_timeout" help:"How long a start waits for the brokers; 0 waits for ever."`
}

// SASLConfig names one user.
type SASLConfig = wire.SASLConfig

// TLSConfig says how brokers are verified and how we show who we are.
type TLSConfig = wire.TLSConfig

// CommitConfig says when offsets are committed: at whichever comes first.
type CommitConfig struct {
	Every    time.Duration `option:"every" help:"Time between two commits."`
	Messages int           `option:"messages" help:"Ended messages between two commits." min:"1"`
}

// The values of Config.Start that are no time.
const (
	StartEarliest  = "earliest"
	StartLatest    = "latest"
	StartCommitted = "committed"
)

// The values of Config.OutOfRange.
const (
	OutOfRangeEarliest = "earliest"
	OutOfRangeLatest   = "latest"
	OutOfRangeFail     = "fail"
)

// The values of Config.Isolation.
const (
	ReadCommitted   = "read_committed"
	ReadUncommitted = "read_uncommitted"
)

// DefaultConfig is a Config with the documented defaults.
func DefaultConfig() Config {
	host, _ := os.Hostname() // only the default client name misses it
	return Config{
		Brokers:        []string{"127.0.0.1:9092"},
		Session:        30 * time.Second,
		Rebalance:      60 * time.Second,
		Heartbeat:      3 * time.Second,
		Start:          StartEarliest,
		Isolation:      ReadCommitted,
		OutOfRange:     OutOfRangeEarliest,
		ClientID:       strings.TrimSuffix("flushline-"+host, "-"),
		Commit:         CommitConfig{Every: time.Second, Messages: 10000},
		Span:           20000,
		ConnectTimeout: 60 * time.Second,
	}
}

// Validate finds every contradiction that can be seen without a broker.
func (c *Config) Validate() error {
	return errors.Join(c.checkBrokers(), c.checkTopics(), c.checkGroup(), c.checkReading(), c.checkIdentity())
}

func (c *Config) checkBrokers() error {
	if len(c.Brokers) == 0 {
		return errors.New("brokers is missing: write [kafka-1:9092]")
	}
	var errs []error
	for i, b := range c.Brokers {
		errs = append(errs, wire.CheckBroker(fmt.Sprintf("brokers[%d]", i), b))
	}
	if c.ConnectTimeout < 0 {
		errs = append(errs, fmt.Errorf("connect_timeout is %v: write 0 to wait for ever", c.ConnectTimeout))
	}
	return errors.Join(errs...)
}

func (c *Config) checkTopics() error {
	switch {
	case len(c.Topics) > 0 && c.TopicsRegex != "":
		return errors.New("topics and topics_regex exclude each other: write one of them")
	case c.TopicsRegex != "":
		if _, err := c.pattern(); err != nil {
			return err
		}
	case len(c.Topics) == 0:
		return errors.New("topics is missing: write [logs], or topics_regex")
	}
	var errs []error
	for i, t := range c.Topics {
		path := fmt.Sprintf("topics[%d]", i)
		errs = append(errs, checkName(path, t, 249))
		if slices.Contains(c.Topics[:i], t) {
			errs = append(errs, fmt.Errorf("%s: %s is listed twice", path, t))
		}
	}
	return errors.Join(errs...)
}

// pattern is TopicsRegex, bound to whole names.
func (c *Config) pattern() (*regexp.Regexp, error) {
	re, err := regexp.Compile("^(?:" + c.TopicsRegex + ")$")
	if err != nil {
		return nil, fmt.Errorf("topics_regex %q is no regular expression: %w", c.TopicsRegex, err)
	}
	return re, nil
}

// checkName refuses what brokers refuse as the name of a topic, and what could
// not be part of the name of a companion topic.
func checkName(path, name string, most int) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !strings.ContainsRune("._-", r) && (r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a')
	})
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%s is missing", path)
	case len(name) > most:
		return fmt.Errorf("%s is %d characters long: Kafka allows %d", path, len(name), most)
	case bad >= 0:
		return fmt.Errorf("%s %q holds %q: a name is made of letters, digits, dots, _ and - (patterns belong into topics_regex)", path, name, name[bad])
	}
	return nil
}

func (c *Config) checkGroup() error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	errs = append(errs, checkName("group", c.Group, 200))
	bad(c.LeaveOnStop && c.InstanceID == "", "leave_on_stop is for static membership: set instance_id, or leave it out (other members always leave)")
	bad(c.Heartbeat <= 0, "heartbeat is %v: write 3s", c.Heartbeat)
	bad(c.Session < 3*c.Heartbeat, "session is %v: it must be at least three times heartbeat (%v), or a delayed beat costs the membership", c.Session, c.Heartbeat)
	bad(c.Rebalance < c.Session, "rebalance is %v: it must be at least session (%v)", c.Rebalance, c.Session)
	bad(c.Commit.Every <= 0, "commit.every is %v: write 1s", c.Commit.Every)
	bad(c.Commit.Messages < 1, "commit.messages is %d: write how many messages may end between two commits", c.Commit.Messages)
	return errors.Join(errs...)
}

func (c *Config) checkReading() error {
	var errs []error
	if _, err := c.startAt(); err != nil {
		errs = append(errs, err)
	}
	if c.Isolation != ReadCommitted && c.Isolation != ReadUncommitted {
		errs = append(errs, fmt.Errorf("isolation %q is not known: write %s or %s", c.Isolation, ReadCommitted, ReadUncommitted))
	}
	if !slices.Contains([]string{OutOfRangeEarliest, OutOfRangeLatest, OutOfRangeFail}, c.OutOfRange) {
		errs = append(errs, fmt.Errorf("out_of_range %q is not known: write earliest, latest or fail", c.OutOfRange))
	}
	if c.Span < 1 || c.Span > maxSpan {
		errs = append(errs, fmt.Errorf("span is %d: write a number from 1 to %d", c.Span, maxSpan))
	}
	return errors.Join(errs...)
}

const maxSpan = 1_000_000

// startAt is the time that Start names; zero if it names none.
func (c *Config) startAt() (time.Time, error) {
	switch c.Start {
	case StartEarliest, StartLatest, StartCommitted:
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, c.Start)
	if err != nil {
		return t, fmt.Errorf("start %q is not known: write earliest, latest, committed or a time such as 2026-01-02T15:04:05Z", c.Start)
	}
	return t, nil
}

func (c *Config) useTLS() bool { return c.TLS != TLSConfig{} }

func (c *Config) checkIdentity() error {
	return wire.CheckIdentity(&c.SASL, &c.TLS, c.AllowPlainWithoutTLS)
}
