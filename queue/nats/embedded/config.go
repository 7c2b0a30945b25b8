package embedded

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/nats"
)

// SyncInterval is how long a confirmed publish may be off the disk with sync
// "interval".
const SyncInterval = 2 * time.Second

// Config is the block `source.embedded` of the configuration file.
type Config struct {
	Dir    string        `option:"dir" help:"Directory that holds the queue. One process at a time may use it."`
	Listen string        `option:"listen" help:"Address other programs publish to; port 0 takes a free one. An address that is not loopback needs token." example:"127.0.0.1:4222"`
	Token  option.Secret `option:"token,secret" help:"Token that clients have to present."`
	Sync   string        `option:"sync" enum:"always,interval" help:"When a publish is confirmed: always = when it is on the disk; interval = before, it reaches the disk at most 2s later, so that a crash of the machine (not of the process) may lose those 2s. interval is several times faster."`

	MaxPayload option.Bytes `option:"max_payload" help:"Largest message with its headers that publishers may send."`
	MaxBytes   option.Bytes `option:"max_bytes" help:"Size at which the stream refuses new messages; 0: only the disk limits it. Read when the stream is created."`

	Stream   string   `option:"stream" help:"Name of the stream, made at the first start."`
	Durable  string   `option:"durable" help:"Name of the consumer, made at the first start. It is the deployment's name."`
	Subjects []string `option:"subjects" help:"Subjects that the stream stores and the consumer reads."`

	Strict bool // as nats.Config.Strict
}

// DefaultConfig is a Config with the documented defaults.
func DefaultConfig() Config {
	return Config{
		Dir:        "./flushline-data",
		Listen:     "127.0.0.1:4222",
		Sync:       "always",
		MaxPayload: 8 << 20,
		Stream:     "LOGS",
		Durable:    "flushline",
		Subjects:   []string{"logs.>"},
	}
}

// maxPayloadLimit is what a nats-server accepts: half of the bytes it lets wait
// for one client.
const maxPayloadLimit = 32 << 20

// Validate finds every contradiction that can be seen without starting.
func (c *Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir is missing: write the directory that holds the queue"))
	}
	if _, _, err := c.address(); err != nil {
		errs = append(errs, err)
	}
	if c.Sync != "always" && c.Sync != "interval" {
		errs = append(errs, fmt.Errorf("sync is %q: write always or interval", c.Sync))
	}
	if c.MaxPayload < 1024 || c.MaxPayload > maxPayloadLimit {
		errs = append(errs, fmt.Errorf("max_payload is %s: write 1KiB to %s", c.MaxPayload, option.Bytes(maxPayloadLimit)))
	}
	if len(c.Subjects) == 0 {
		errs = append(errs, errors.New("subjects is empty: write the subjects that the stream stores, such as logs.>"))
	}
	one := nats.DefaultConfig()
	one.Stream, one.Durable, one.Subjects = c.Stream, c.Durable, c.Subjects
	errs = append(errs, one.Validate())
	return errors.Join(errs...)
}

// address splits listen and refuses to be open to a network without a token.
func (c *Config) address() (host string, port int, err error) {
	host, p, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen is %q: write host:port, such as 127.0.0.1:4222", c.Listen)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > math.MaxUint16 {
		return "", 0, fmt.Errorf("listen is %q: the port must be 0 to 65535", c.Listen)
	}
	if c.Token.IsZero() && !loopback(host) {
		return "", 0, fmt.Errorf("listen is %q, which others can reach: set token, or listen on 127.0.0.1", c.Listen)
	}
	return host, port, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
