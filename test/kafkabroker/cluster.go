package kafkabroker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flushline/flushline/test/javaserver"
)

// readyWithin is how long a start may take on a busy machine.
const readyWithin = 90 * time.Second

// Options say what to start. The zero value is one plaintext broker of [Version4].
type Options struct {
	Version     string            // Version4 (default) or Version3
	Nodes       int               // 1 (default) or 3; three replicate everything, min.insync.replicas 2
	SASL        []string          // mechanisms clients may use: Plain, ScramSHA256, ScramSHA512
	TLS         bool              // clients speak TLS; see Cluster.Certs
	ClientCerts bool              // with TLS: clients must show a certificate
	Authorizer  bool              // with SASL: Limited may only what Allow grants
	Props       map[string]string // added to server.properties, over this package's own

	// Advertise gives clients another address (host:port) than the one that the broker
	// with that id listens at for them, such as that of a proxy before it; it is called
	// once for each broker, before it starts. The helpers of this package and the other
	// brokers go on using a listener of their own.
	Advertise func(id int, listens string) string
}

// Cluster is a running Apache Kafka on loopback. All methods may be called from
// any goroutine, but those of one [Node] only one at a time.
type Cluster struct {
	options Options
	id      string
	dir     string
	jars    string
	certs   javaserver.Certs
	nodes   []*Node
}

// Run starts a cluster whose data lie below dir and waits until it serves. The
// caller calls Close, also to have the processes ended.
func Run(ctx context.Context, dir string, o Options) (*Cluster, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	var err error
	if o.Version, err = knownVersion(o.Version); err != nil {
		return nil, err
	}
	if o.Nodes == 0 {
		o.Nodes = 1
	}
	if o.Nodes != 1 && o.Nodes != 3 {
		return nil, fmt.Errorf("couldn't start %d brokers: one or three", o.Nodes)
	}
	c := &Cluster{options: o, id: newID(), dir: dir}
	if c.jars, err = Jars(ctx, o.Version); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		err = errors.Join(err, errors.New(c.Log()))
		c.Close()
		return nil, fmt.Errorf("couldn't start Apache Kafka %s: %w", o.Version, err)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if c.options.TLS {
		var err error
		if c.certs, err = javaserver.MakeCerts(c.dir); err != nil {
			return err
		}
	}
	if err := writeLogging(c.dir); err != nil {
		return err
	}
	ports, err := javaserver.Reserve(3 * c.options.Nodes)
	if err != nil {
		return err
	}
	defer ports.Free()
	for i := range c.options.Nodes {
		n := &Node{cluster: c, id: i + 1, dir: filepath.Join(c.dir, fmt.Sprintf("node-%d", i+1))}
		n.controller, n.internal, n.client = ports.Ports[3*i], ports.Ports[3*i+1], ports.Ports[3*i+1]
		if c.options.secured() || c.options.Advertise != nil {
			n.client = ports.Ports[3*i+2]
		}
		n.advertised = fmt.Sprintf("127.0.0.1:%d", n.client)
		if c.options.Advertise != nil {
			n.advertised = c.options.Advertise(n.id, n.advertised)
		}
		c.nodes = append(c.nodes, n)
	}
	var formats errgroup.Group
	for _, n := range c.nodes {
		formats.Go(func() error { return n.format(ctx) })
	}
	if err := formats.Wait(); err != nil {
		return err
	}
	ports.Free()
	for _, n := range c.nodes {
		if err := n.launch(); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close kills what still runs. The data stay for whoever owns their directory.
func (c *Cluster) Close() {
	for _, n := range c.nodes {
		if n.child != nil {
			n.child.Kill()
		}
	}
}

// Version is the version of Apache Kafka that runs.
func (c *Cluster) Version() string { return c.options.Version }

// ID is the cluster id. It is new for every cluster, and no cluster is handed out
// before it answered with it.
func (c *Cluster) ID() string { return c.id }

// Bootstrap is where clients connect, one address per broker.
func (c *Cluster) Bootstrap() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.Addr()
	}
	return addrs
}

// Addr is the address of the first broker.
func (c *Cluster) Addr() string { return c.nodes[0].Addr() }

// Certs are the files for TLS.
func (c *Cluster) Certs() javaserver.Certs { return c.certs }

// Nodes are the brokers in the order of their ids.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node is the broker with that id; ids start at 1.
func (c *Cluster) Node(id int) *Node { return c.nodes[id-1] }

// Log is the end of what each broker wrote, at level WARN.
func (c *Cluster) Log() string {
	var b strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "--- broker %d (127.0.0.1:%d)\n%s\n", n.id, n.client, n.Log())
	}
	return b.String()
}

// internal is where the helpers of this package connect.
func (c *Cluster) internal() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = fmt.Sprintf("127.0.0.1:%d", n.internal)
	}
	return addrs
}

// newID makes a cluster id: 16 random bytes, base64 for URLs, no padding. A
// leading dash would read as an option of the formatter.
func newID() string {
	for {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := base64.RawURLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id
		}
	}
}

func writeLogging(dir string) error {
	for _, name := range []string{"log4j2.properties", "log4j.properties"} {
		content, err := dist.ReadFile("dist/" + name)
		if err != nil {
			return fmt.Errorf("couldn't read %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("couldn't write the brokers' logging: %w", err)
		}
	}
	return nil
}
