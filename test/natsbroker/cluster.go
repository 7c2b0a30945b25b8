package natsbroker

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/flushline/flushline/queue/nats"
)

// Cluster runs three servers that keep streams together, until the test ends.
func Cluster(t *testing.T) [3]*Broker {
	t.Helper()
	ports, err := routePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var all [3]*Broker
	for i, port := range ports {
		all[i] = Start(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("%s-%d", o.ServerName, i)
			o.Cluster = server.ClusterOpts{Name: t.Name(), Host: "127.0.0.1", Port: port}
			o.Routes = routes
		})
	}
	for begin := time.Now(); !formed(all); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("the cluster has not formed after 30 s")
		}
	}
	return all
}

// formed says whether one leads and all have heard of it.
func formed(all [3]*Broker) bool {
	leaders, current := 0, 0
	for _, b := range all {
		if b.Server.JetStreamIsLeader() && len(b.Server.JetStreamClusterPeers()) == len(all) {
			leaders++
		}
		if b.Server.JetStreamIsCurrent() {
			current++
		}
	}
	return leaders == 1 && current == len(all)
}

// ConnectAll makes a connection that finds another server when its own is away, and
// the configuration that it was made with.
func ConnectAll(t *testing.T, all [3]*Broker) (*nats.Conn, *nats.Config) {
	t.Helper()
	cfg := all[0].Config()
	cfg.URL = all[0].URL() + "," + all[1].URL() + "," + all[2].URL()
	conn, err := nats.Connect(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn, cfg
}

// URL is where clients of one server connect; a cluster's clients take all three.
func (b *Broker) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", b.opts.Port) }

// Name is the server's.
func (b *Broker) Name() string { return b.opts.ServerName }

// routePorts finds ports that the servers have to know before they start, below the
// range that systems give to outgoing connections.
func routePorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody has it
		}
		held = append(held, l)
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("couldn't find %d free ports", n)
}
