package nats

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
)

// Conn is a connection that survives its server. What is published while it is
// away fails instead of being kept for later, because an acknowledgement that
// arrives at a recreated consumer removes a message nobody has flushed.
//
// All methods are safe from any goroutine.
type Conn struct {
	nc       *nats.Conn
	prefix   string
	patience time.Duration // of a start with a server that goes away; 0: without end
	log      *zap.Logger
	line     *line

	up      atomic.Bool  // what nats.go last told
	dropped atomic.Int64 // messages nats.go threw away; zero or a defect
	changed *broadcast   // told at each disconnect and reconnect

	publishing sync.Mutex
	answered   *answers // to what is published; nil before the first
}

// Connect reaches a server, or fails after c.ConnectTimeout (0: never) or when
// ctx ends. Refused credentials, a failed TLS handshake and a server without
// JetStream are errors at once: waiting does not mend them.
func Connect(ctx context.Context, c *Config, log *zap.Logger, extra ...nats.Option) (*Conn, error) {
	if log == nil {
		log = zap.NewNop()
	}
	conn := &Conn{prefix: c.apiPrefix(), patience: c.ConnectTimeout, log: log, line: newLine(), changed: newBroadcast()}
	opts, err := conn.options(c, extra)
	if err != nil {
		return nil, fmt.Errorf("couldn't prepare the connection to nats %s: %w", Redact(c.URL), err)
	}
	if c.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.ConnectTimeout)
		defer cancel()
	}
	dial := func() error { return conn.dial(ctx, opts) }
	if err := retry(ctx, dial, conn.waiting(c)); err != nil {
		return nil, fmt.Errorf("couldn't connect to nats %s: %w", Redact(c.URL), err)
	}
	return conn, nil
}

const waitingEvery = 10 * time.Second

// waiting logs that the server is not there yet: at the first failure, and then
// every ten seconds.
func (c *Conn) waiting(cfg *Config) func(error) {
	until := "the server is there"
	if cfg.ConnectTimeout > 0 {
		until = cfg.ConnectTimeout.String() + " have passed (connect_timeout)"
	}
	var told time.Time
	return func(err error) {
		if now := time.Now(); told.IsZero() || now.Sub(told) >= waitingEvery {
			told = now
			c.log.Warn("couldn't connect to nats yet; trying again",
				zap.String("url", Redact(cfg.URL)), zap.String("until", until), zap.Error(err))
		}
	}
}

// dial tries once: the connection and whether JetStream answers on it.
func (c *Conn) dial(ctx context.Context, opts nats.Options) error {
	nc, err := opts.Connect()
	if err != nil {
		if why := c.line.refusal.Load(); why != nil && errors.Is(err, nats.ErrNoServers) {
			return *why
		}
		return explainConnect(err)
	}
	c.nc = nc
	if err := c.jetStreamAnswers(ctx); err != nil {
		nc.Close()
		return err
	}
	c.up.Store(c.line.number() != 0)
	return nil
}

// jetStreamAnswers fails only on what the server says. Silence is left to the
// first real request: the account may not be allowed to ask for this.
func (c *Conn) jetStreamAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := c.Request(ctx, "INFO", nil, nil)
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream does not answer at %s: is it enabled in the server, and are domain and api_prefix right?",
			strings.TrimSuffix(c.prefix, "."))
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return permanent(errors.New("JetStream is not enabled for this account: enable it in the server's account configuration"))
	}
	return nil
}

func (c *Conn) options(cfg *Config, extra []nats.Option) (nats.Options, error) {
	o := nats.GetDefaultOptions()
	o.Servers = splitURLs(cfg.URL)
	o.Name = cfg.Name
	o.MaxReconnect = -1
	o.IgnoreAuthErrorAbort = true // rotated credentials arrive later than their revocation
	o.ReconnectBufSize = -1
	o.PingInterval = 20 * time.Second
	o.FlusherTimeout = 10 * time.Second
	o.ReconnectOnFlusherError = true
	o.CustomReconnectDelayCB = reconnectDelay
	o.DisconnectedErrCB = func(_ *nats.Conn, err error) { c.lost(err) }
	o.ReconnectedCB = func(nc *nats.Conn) { c.back(nc) }
	o.AsyncErrorCB = func(_ *nats.Conn, sub *nats.Subscription, err error) { c.asyncError(sub, err) }
	all := append(credentials(cfg), extra...)
	for _, apply := range all {
		if err := apply(&o); err != nil {
			return o, err
		}
	}
	c.line.wrap(&o)
	return o, nil
}

// credentials is the options that read secrets and TLS files; each reads its
// file again at every reconnect.
func credentials(cfg *Config) []nats.Option {
	var opts []nats.Option
	switch {
	case cfg.User != "":
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password.Reveal()))
	case !cfg.Token.IsZero():
		opts = append(opts, nats.Token(cfg.Token.Reveal()))
	case cfg.Creds != "":
		opts = append(opts, readable(cfg.Creds, "creds"), nats.UserCredentials(cfg.Creds))
	case cfg.NKey != "":
		opts = append(opts, nkey(cfg.NKey))
	}
	if t := &cfg.TLS; t.set() {
		opts = append(opts, nats.Secure(&tls.Config{
			MinVersion:         tls.VersionTLS12,
			ServerName:         t.ServerName,
			InsecureSkipVerify: t.InsecureSkipVerify,
		}))
		if t.CA != "" {
			opts = append(opts, nats.RootCAs(t.CA))
		}
		if t.Cert != "" {
			opts = append(opts, nats.ClientCert(t.Cert, t.Key))
		}
	}
	return opts
}

func readable(file, key string) nats.Option {
	return func(*nats.Options) error {
		if _, err := os.ReadFile(file); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
}

// nkey signs with the seed that lies in file at that moment. A seed of another
// user needs a restart: nats.go sends the public key it was given first.
func nkey(file string) nats.Option {
	return func(o *nats.Options) error {
		pair, err := readSeed(file)
		if err != nil {
			return err
		}
		pub, err := pair.PublicKey()
		if err != nil {
			return fmt.Errorf("couldn't derive the public key of nkey %s: %w", file, err)
		}
		return nats.Nkey(pub, func(nonce []byte) ([]byte, error) {
			pair, err := readSeed(file)
			if err != nil {
				return nil, err
			}
			defer pair.Wipe()
			if now, err := pair.PublicKey(); err != nil || now != pub {
				return nil, fmt.Errorf("nkey %s now holds the seed of another user: restart to use it", file)
			}
			return pair.Sign(nonce)
		})(o)
	}
}

func readSeed(file string) (nkeys.KeyPair, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("nkey: %w", err)
	}
	pair, err := nkeys.ParseDecoratedNKey(b)
	if err != nil {
		return nil, fmt.Errorf("couldn't read an nkey seed from %s: %w", file, err)
	}
	return pair, nil
}

// reconnectDelay keeps the return of a server below a second away from its
// users while a fleet does not knock in step.
func reconnectDelay(attempts int) time.Duration {
	d := min(100*time.Millisecond<<min(attempts-1, 3), 500*time.Millisecond)
	return d + rand.N(d/2)
}

// NATS is the connection itself, for what this package does not wrap.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// APIPrefix is the prefix of JetStream API subjects, with its final dot.
func (c *Conn) APIPrefix() string { return c.prefix }

// JetStream is the client library's view of the same API prefix.
func (c *Conn) JetStream() (jetstream.JetStream, error) {
	js, err := jetstream.NewWithAPIPrefix(c.nc, strings.TrimSuffix(c.prefix, "."))
	if err != nil {
		return nil, fmt.Errorf("couldn't use the JetStream API at %s: %w", c.prefix, err)
	}
	return js, nil
}

// Request calls a JetStream API operation such as "CONSUMER.INFO.LOGS.flushline"
// and decodes its answer into resp (nil: not needed). The server's refusal is a
// *jetstream.APIError. ctx must have a deadline.
func (c *Conn) Request(ctx context.Context, op string, req, resp any) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return fmt.Errorf("couldn't encode %s: %w", op, err)
		}
	}
	m, err := c.nc.RequestWithContext(ctx, c.prefix+op, body)
	if err != nil {
		return fmt.Errorf("couldn't call %s%s: %w", c.prefix, op, err)
	}
	var refused struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &refused); err != nil {
		return fmt.Errorf("couldn't decode the answer of %s%s: %w", c.prefix, op, err)
	}
	if refused.Error != nil {
		return refused.Error
	}
	if resp == nil {
		return nil
	}
	if err := json.Unmarshal(m.Data, resp); err != nil {
		return fmt.Errorf("couldn't decode the answer of %s%s: %w", c.prefix, op, err)
	}
	return nil
}

// Connected says whether a server is reached now. It waits while something is being
// written to one that does not read: up to ten seconds.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Up is Connected for those who must not wait. It may come some time later.
func (c *Conn) Up() bool { return c.up.Load() && c.line.number() != 0 }

// Refusal is why no server takes us back, if that is something which somebody has to
// mend (Refused), and nil otherwise. It may wait as long as an attempt takes.
func (c *Conn) Refusal() error {
	if err := explainConnect(c.nc.LastError()); Refused(err) {
		return err
	}
	return nil
}

// Line is the number of the network connection that is up now, counted from 1; 0:
// none is. What was asked on another one is not answered any more.
func (c *Conn) Line() int64 { return c.line.number() }

// Changed is closed at the next loss or return of the connection.
func (c *Conn) Changed() <-chan struct{} { return c.changed.wait() }

// Dropped is how many messages the client library threw away because nobody took
// them in time. It is zero, or the program has a defect.
func (c *Conn) Dropped() int64 { return c.dropped.Load() }

// Close ends the connection; nothing is flushed.
func (c *Conn) Close() { c.nc.Close() }

func (c *Conn) lost(err error) {
	c.up.Store(false)
	if err != nil {
		c.log.Warn("connection to nats lost, reconnecting", zap.Error(err))
	}
	c.changed.tell()
}

func (c *Conn) back(nc *nats.Conn) {
	c.up.Store(true)
	c.log.Info("connected to nats again", zap.String("server", nc.ConnectedUrlRedacted()))
	c.changed.tell()
}

// asyncError logs what nats.go reports beside the calls. A slow consumer is a
// message that nats.go dropped; our subscriptions are unlimited, so one is a
// defect and counted.
func (c *Conn) asyncError(sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		c.dropped.Add(1)
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.forbidden(err)
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	c.log.Warn("nats reports an error", zap.Error(err), zap.String("subject", subject))
}

// explainConnect adds what to do next to the errors people meet at a start, and
// marks those that waiting does not mend.
func explainConnect(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return permanent(fmt.Errorf("the server refused the credentials: check user, token, nkey or creds: %w", err))
	case errors.Is(err, nats.ErrTLS), tlsAlert(err):
		return permanent(fmt.Errorf("the TLS handshake failed: check tls.ca, tls.cert and tls.server_name: %w", err))
	case errors.Is(err, nats.ErrSecureConnRequired):
		return permanent(fmt.Errorf("the server insists on TLS: write tls:// in url or fill tls: %w", err))
	case errors.Is(err, nats.ErrSecureConnWanted):
		return permanent(fmt.Errorf("the server speaks no TLS, but the configuration asks for it: %w", err))
	}
	return err
}

// tlsAlert says that either side ended the handshake. With TLS 1.3 a server refuses
// a client certificate only after the client is done, so that the alert comes with
// a later read.
func tlsAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

func splitURLs(s string) []string {
	var urls []string
	for _, u := range strings.Split(s, ",") {
		if u = strings.TrimSpace(u); u != "" {
			urls = append(urls, u)
		}
	}
	return urls
}

// Redact removes what stands before an @ in each of a list of URLs.
func Redact(urls string) string {
	list := splitURLs(urls)
	for i, u := range list {
		scheme, rest, found := strings.Cut(u, "://")
		if !found {
			scheme, rest = "nats", u
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			list[i] = scheme + "://***@" + rest[at+1:]
		}
	}
	return strings.Join(list, ",")
}
