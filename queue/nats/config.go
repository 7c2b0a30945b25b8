package nats

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/option"
)

// Config says which JetStream consumers are read and how the servers are
// reached. It is the block `source.nats` of the configuration file.
type Config struct {
	URL      string   `option:"url" help:"Servers, comma separated: nats://host:4222, tls://host:4222." example:"nats://127.0.0.1:4222"`
	Stream   string   `option:"stream" help:"The JetStream stream to read." example:"LOGS"`
	Durable  string   `option:"durable" help:"The durable pull consumer that all pods of a deployment share. It is the deployment's name." example:"flushline"`
	Subjects []string `option:"subjects" help:"Subject filters of the consumer; default: everything in the stream." example:"logs.>"`

	Consumers []Consumer `option:"consumers" help:"Several consumers in one source, instead of stream, durable and subjects."`

	AckWait time.Duration `option:"ack_wait" help:"How long the server waits for a mark of life before it delivers a message again; setup creates the consumer with it. At least 6s."`
	MaxPods int           `option:"max_pods" help:"How many pods share the consumer at most: each holds at most max_ack_pending / max_pods messages."`

	User     string        `option:"user" help:"User name."`
	Password option.Secret `option:"password,secret" help:"Password of the user."`
	Token    option.Secret `option:"token,secret" help:"Authentication token."`
	NKey     string        `option:"nkey" help:"File with the NKey seed; read again at each reconnect." example:"/etc/flushline/user.nk"`
	Creds    string        `option:"creds" help:"Credentials file (JWT and seed); read again at each reconnect." example:"/etc/flushline/user.creds"`
	TLS      TLSConfig     `option:"tls" help:"TLS; used if a field is set or a URL begins with tls://."`

	Domain    string `option:"domain" help:"JetStream domain, when the stream lies behind a leaf node."`
	APIPrefix string `option:"api_prefix" help:"Prefix of the JetStream API when it is imported from another account; excludes domain." example:"JS.logs.API"`

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

// TLSConfig says how servers are verified and how we show who we are. Files are
// read again at each reconnect.
type TLSConfig struct {
	CA                 string `option:"ca" help:"PEM file with the certificate authorities to trust; default: the system's."`
	Cert               string `option:"cert" help:"PEM file with the client certificate."`
	Key                string `option:"key" help:"PEM file with the client certificate's key."`
	ServerName         string `option:"server_name" help:"Name the server's certificate must carry; default: the host of the URL."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"Accept any certificate: whoever answers can read and forge everything."`
}

func (t *TLSConfig) set() bool { return *t != TLSConfig{} }

// MinAckWait is the shortest ack wait that leaves room for three marks and the
// incarnation check between them.
const MinAckWait = 6 * time.Second

// DefaultConfig is a Config with the documented defaults.
func DefaultConfig() Config {
	host, _ := os.Hostname() // only the default client name misses it
	return Config{
		URL:            "nats://127.0.0.1:4222",
		AckWait:        60 * time.Second,
		MaxPods:        10,
		Name:           strings.TrimSuffix("flushline "+host, " "),
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
	errs = append(errs, checkURL(c.URL))
	bad(len(c.Consumers) > 0 && (c.Stream != "" || c.Durable != "" || len(c.Subjects) > 0),
		"consumers excludes stream, durable and subjects: move them into the list")
	bad(c.AckWait < MinAckWait, "ack_wait is %v: at least %v is needed to keep held messages ours", c.AckWait, MinAckWait)
	bad(c.MaxPods < 1, "max_pods is %d: write how many pods share the consumer at most", c.MaxPods)
	bad(c.ConnectTimeout < 0, "connect_timeout is %v: write 0 to wait for ever", c.ConnectTimeout)
	bad(c.Domain != "" && c.APIPrefix != "", "domain and api_prefix exclude each other")
	bad((c.TLS.Cert == "") != (c.TLS.Key == ""), "tls.cert and tls.key go together")
	bad(c.Password != option.Secret{} && c.User == "", "password is set without user")
	bad(c.credentials() > 1, "user, token, nkey and creds exclude each other")
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

func (c *Config) credentials() int {
	n := 0
	for _, given := range []bool{c.User != "", !c.Token.IsZero(), c.NKey != "", c.Creds != ""} {
		if given {
			n++
		}
	}
	return n
}

// checkURL refuses what the client library would silently read as something else.
func checkURL(list string) error {
	urls := splitURLs(list)
	if len(urls) == 0 {
		return errors.New("url is missing: write nats://host:4222")
	}
	var errs []error
	for _, u := range urls {
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		parsed, err := url.Parse(u)
		switch {
		case err != nil || parsed.Hostname() == "": // err would show the password
			errs = append(errs, fmt.Errorf("url %q is no address: write nats://host:4222", Redact(u)))
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, parsed.Scheme):
			errs = append(errs, fmt.Errorf("url %q is not one of a NATS server: write nats://%s, or tls:// or wss:// for TLS", Redact(u), parsed.Host))
		}
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

// apiPrefix ends with a dot.
func (c *Config) apiPrefix() string {
	switch {
	case c.APIPrefix != "":
		return strings.TrimSuffix(c.APIPrefix, ".") + "."
	case c.Domain != "":
		return "$JS." + c.Domain + ".API."
	}
	return "$JS.API."
}
