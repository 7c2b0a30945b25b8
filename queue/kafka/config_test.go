package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/option"
)

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Topics, cfg.Group = []string{"logs"}, "flushline"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"brokers is missing":                func(c *Config) { c.Brokers = nil },
		"write k:9092, and the block tls":   func(c *Config) { c.Brokers = []string{"ssl://k:9092"} },
		"host:port":                         func(c *Config) { c.Brokers = []string{"k"} },
		"topics is missing":                 func(c *Config) { c.Topics = nil },
		"listed twice":                      func(c *Config) { c.Topics = []string{"logs", "logs"} },
		"patterns belong into topics_regex": func(c *Config) { c.Topics = []string{"logs.*"} },
		"exclude each other":                func(c *Config) { c.TopicsRegex = "l.*" },
		"is no regular expression":          func(c *Config) { c.Topics, c.TopicsRegex = nil, "(" },
		"group is missing":                  func(c *Config) { c.Group = "" },
		"set instance_id":                   func(c *Config) { c.LeaveOnStop = true },
		"three times heartbeat":             func(c *Config) { c.Heartbeat = 20 * time.Second },
		"at least session":                  func(c *Config) { c.Rebalance = time.Second },
		"start \"now\"":                     func(c *Config) { c.Start = "now" },
		"isolation \"\"":                    func(c *Config) { c.Isolation = "" },
		"out_of_range \"skip\"":             func(c *Config) { c.OutOfRange = "skip" },
		"span is 0":                         func(c *Config) { c.Span = 0 },
		"commit.every":                      func(c *Config) { c.Commit.Every = 0 },
		"sasl.user is missing":              func(c *Config) { c.SASL.Mechanism = "scram-sha-512" },
		"sasl.mechanism is missing":         func(c *Config) { c.SASL.User = "u" },
		"readable to everybody": func(c *Config) {
			c.SASL = SASLConfig{Mechanism: "plain", User: "u", Password: option.NewSecret("p")}
		},
		"tls.cert and tls.key": func(c *Config) { c.TLS.Cert = "c.pem" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			cfg.Topics, cfg.Group = []string{"logs"}, "flushline"
			change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOptionsAreWellFormed(t *testing.T) {
	t.Parallel()
	if err := option.Check(&Config{}); err != nil {
		t.Error(err)
	}
}
