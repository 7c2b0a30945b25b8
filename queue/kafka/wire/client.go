package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// Config says how brokers are reached.
type Config struct {
	Brokers              []string // host:port, at least one
	ClientID             string
	TLS                  *TLSConfig // nil: no TLS
	SASL                 SASLConfig
	AllowPlainWithoutTLS bool

	// Dial opens TCP connections; nil is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// ErrConfig is wrapped by errors that only another configuration mends: files that
// cannot be read, a password that would travel in the clear.
var ErrConfig = errors.New("configuration")

const (
	callTimeout = 15 * time.Second // of a call whose context has no deadline
	dialTimeout = 10 * time.Second // TCP, TLS, greeting and SASL together
	// What a burst of calls opened beyond the connections in constant use ends soon.
	// It is also far below the times after which brokers (10 minutes) and some load
	// balancers (4) close what is idle: a request must not meet a connection closed so.
	idleTimeout = 10 * time.Second
	// How often kafka-go asks each broker for metadata of no topic, and how long it
	// waits for the first such answer before other requests go on.
	pollEvery = time.Minute
)

// Client carries calls to brokers. All methods may be called from any goroutine.
//
// A call whose context is cancelled returns at once; what it asked may still
// happen, until its deadline. A context without deadline gets one of 15 s plus what
// the call itself waits for.
//
// Fetch, Commit and the calls of a member of a group are sent at once. Of the others
// each broker is asked one at a time, and Produce beside them: a call waits for those
// before it, within its deadline. Calls of Committed for the same group, ListOffsets
// with the same isolation, and Produce that wait at one broker become one request.
type Client struct {
	cfg       Config
	auth      *auth
	trust     *trust // nil: no TLS
	transport *kafka.Transport
	ids       atomic.Int32
	send      func(context.Context, string, *call) (*answer, error) // roundTrip
	life      context.Context                                       // until Close
	end       context.CancelFunc

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	links  map[string]*link
	known  []string // addresses of the last metadata
	last   string   // that answered last
}

// NewClient checks cfg, reads its files once to see that they are there, and dials
// nothing yet.
func NewClient(cfg Config) (*Client, error) {
	if len(cfg.Brokers) == 0 {
		return nil, fmt.Errorf("%w: no broker is named", ErrConfig)
	}
	c := &Client{cfg: cfg, conns: map[net.Conn]struct{}{}, links: map[string]*link{}}
	c.send = c.roundTrip
	c.life, c.end = context.WithCancel(context.Background())
	var err error
	if c.auth, err = newAuth(&c.cfg); err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		if c.trust, err = newTrust(cfg.TLS); err != nil {
			return nil, err
		}
	}
	c.transport = &kafka.Transport{
		Dial:           c.dial,
		DialTimeout:    dialTimeout,
		IdleTimeout:    idleTimeout,
		MetadataTTL:    pollEvery,
		MetadataTopics: []string{},
		ClientID:       cfg.ClientID,
	}
	return c, nil
}

// Close ends all connections. Calls under way fail, later ones with ErrClosed.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	c.end()
	c.transport.CloseIdleConnections()
	for conn := range conns {
		conn.Close()
	}
}

// call is one request to one broker.
type call struct {
	api
	op   string
	free bool          // it waits for no turn: see turns
	wait time.Duration // how long the broker may take on purpose
	most int           // bytes of the answer; 0 is maxAnswer
	body func(*encoder)

	recycles bool // the request is in a buffer
}

// do sends one call and hands its answer to parse, which must not keep any of it.
// An answer that cannot be read is an error whatever parse makes of it.
func (c *Client) do(ctx context.Context, addr string, q *call, parse func(*decoder) error) error {
	a, err := c.send(ctx, addr, q)
	if err == nil {
		d := decoder{b: a.body}
		err = parse(&d)
		if bad := d.end(); err == nil || d.err != nil {
			err = bad
		}
		a.release()
	}
	return c.wrap(q.op, addr, err)
}

func (c *Client) wrap(op, addr string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Broker: addr, Err: err}
}

func (c *Client) roundTrip(ctx context.Context, addr string, q *call) (*answer, error) {
	l, err := c.link(addr)
	if err != nil {
		return nil, err
	}
	id := c.ids.Add(1)
	frame, err := newFrame(q.api, id, c.cfg.ClientID, q.body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := timed(ctx, q)
	defer cancel()
	x := &exchange{api: q.api, frame: frame, id: id, most: q.most, link: l}
	if x.most == 0 {
		x.most = maxAnswer
	}
	var a *answer
	if q.free {
		a, err = c.carry(ctx, addr, x)
	} else {
		a, err = c.inTurn(ctx, l.turns.lookup, func(ctx context.Context) (*answer, error) { return c.carry(ctx, addr, x) })
	}
	if err == nil && q.recycles {
		recycle(frame)
	}
	return a, c.explain(addr, l, err)
}

// carry has the transport send x. A connection whose session is over has sent
// nothing; the next one is another.
func (c *Client) carry(ctx context.Context, addr string, x *exchange) (*answer, error) {
	for {
		m, err := c.transport.RoundTrip(ctx, kafka.TCP(addr), x)
		if errors.Is(err, errSessionOver) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a, ok := m.(*answer)
		if !ok {
			return nil, fmt.Errorf("the connection returned a %T", m)
		}
		return a, nil
	}
}

// link is what is known about the way to addr.
func (c *Client) link(addr string) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	addr = kafka.TCP(addr).String()
	l := c.links[addr]
	if l == nil {
		l = &link{turns: newTurns()}
		c.links[addr] = l
	}
	return l, nil
}
