package nats_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/test/natsbroker"
)

// The test binary is also the server process that is killed.
const childServer = "FLUSHLINE_TEST_NATS_SERVER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childServer); spec != "" {
		serveChild(spec)
		return
	}
	os.Exit(leak.Check(m.Run()))
}

// serveChild runs a server until its standard input ends.
func serveChild(spec string) {
	var port int
	var name, dir string
	if _, err := fmt.Sscanf(spec, "%d %s %s", &port, &name, &dir); err != nil {
		panic(err)
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: name, Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		panic(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		panic("the server is not ready")
	}
	fmt.Println("port", srv.Addr().(*net.TCPAddr).Port)
	_, _ = io.Copy(io.Discard, os.Stdin)
	srv.Shutdown()
	srv.WaitForShutdown()
}

// child is a server in a process of its own.
type child struct {
	*testing.T
	name, dir string
	port      int
	cmd       *exec.Cmd
	stdin     io.Closer
}

func startChild(t *testing.T) *child {
	t.Helper()
	c := &child{T: t, name: fmt.Sprintf("child-%d", time.Now().UnixNano()), dir: t.TempDir(), port: server.RANDOM_PORT}
	c.start()
	t.Cleanup(c.kill)
	return c
}

func (c *child) start() {
	c.Helper()
	self, err := os.Executable()
	if err != nil {
		c.Fatal(err)
	}
	c.cmd = exec.CommandContext(context.Background(), self)
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", childServer, c.port, c.name, c.dir))
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		c.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scan := fmt.Sscanf(line, "port %d", &c.port); err != nil || scan != nil {
		c.Fatalf("the server said %q: %v, %v", line, err, scan)
	}
}

// kill ends the process at once, without any farewell.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()
	_ = c.stdin.Close()
}

func openChildQueue(t *testing.T, with ...func(*nats.Config)) (*testQueue, *child) {
	t.Helper()
	c := startChild(t)
	b := &broker{natsbroker.Of(t, c.name, c.port, nil)}
	q := &testQueue{broker: b, cfg: b.config()}
	for _, f := range with {
		f(q.cfg)
	}
	q.conn = b.connect(q.cfg)
	b.setUp(q.conn, q.cfg)
	return q, c
}

func TestAServerRestartKeepsWhatIsHeld(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(100, 10)
	p := q.startPod()
	ds := p.fetch(60)
	ack(ds[:20]...)
	q.stop()
	p.state(queue.StateBrokerAway)
	ack(ds[20:30]...) // while it is away: nothing is sent, nothing is kept by the client
	q.start()
	begin := time.Now()
	more := p.fetch(40)
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("flow was back after %v, want 3s at most", d)
	}
	ack(ds[30:]...)
	ack(more...)
	q.pending(0, 0)
	if got := q.info(); got.NumRedelivered != 0 || got.Delivered.Consumer != 100 {
		t.Errorf("%d deliveries in all, want 100", got.Delivered.Consumer)
	}
	p.stop()
}

// A killed server forgets the last moments: deliveries, so that it delivers
// again, and acknowledgements. Nothing may be lost or handed out twice.
func TestAKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	q, c := openChildQueue(t)
	q.publish(400, 10)
	p := q.startPod()
	seen := map[int64]int{}
	note := func(ds []*queue.Delivery) []*queue.Delivery {
		for _, d := range ds {
			seen[d.Message().Position]++
		}
		return ds
	}
	held := note(p.fetch(100))
	ack(held[:50]...)
	c.kill()
	p.state(queue.StateBrokerAway)
	ack(held[50:75]...)
	c.start()
	begin := time.Now()
	ack(note(p.fetch(300))...)
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("flow was back after %v, want 3s at most", d)
	}
	ack(held[75:]...)
	// What the server delivered and forgot it delivers again and is told again.
	go p.keepFetching(t)
	q.pending(0, 0)
	for seq, n := range seen {
		if n != 1 {
			t.Errorf("message %d was handed out %d times", seq, n)
		}
	}
	p.stop()
}

// keepFetching shows demand and fails the test on any delivery.
func (p *pod) keepFetching(t *testing.T) {
	ds, err := p.strand.Fetch(p.strand.Ctx, everything)
	if err == nil {
		t.Errorf("handed out again: %v", positions(ds))
		release(ds...)
	}
}

// gate is a network that can be closed for a while.
type gate struct {
	mu     sync.Mutex
	srv    *server.Server
	closed bool
	open   []*holeConn
}

func (g *gate) InProcessConn() (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errorf("the network is closed")
	}
	c, err := g.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	h := &holeConn{Conn: c}
	g.open = append(g.open, h)
	return h, nil
}

// holeConn is a connection that can turn into a hole: it stays, but nothing gets
// through.
type holeConn struct {
	net.Conn
	hole atomic.Bool
}

func (c *holeConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.hole.Load() {
			return n, err
		}
	}
}

func (c *holeConn) Write(b []byte) (int, error) {
	if c.hole.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// swallow turns the present connections into holes.
func (g *gate) swallow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.open {
		c.hole.Store(true)
	}
}

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	if closed {
		for _, c := range g.open {
			_ = c.Close()
		}
		g.open = nil
	}
}

const ownProcess = "FLUSHLINE_TEST_BUBBLE"

// bubble runs a test with a server inside a synctest bubble, where minutes cost
// nothing. It runs in a process of its own: the client library keeps timers for
// reuse, and a bubble must not meet another's.
func bubble(t *testing.T, test func(t *testing.T, q *testQueue, g *gate)) {
	if os.Getenv(ownProcess) != t.Name() {
		t.Parallel()
		inOwnProcess(t)
		return
	}
	ats.Register()
	defer ats.Unregister()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.NewServer(&server.Options{
			ServerName: "bubble", DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		g := &gate{srv: srv}
		b := &broker{natsbroker.Of(t, "bubble", 0, srv)}
		q := &testQueue{broker: b, cfg: b.config(), with: nats.Options{NATS: []natsgo.Option{natsgo.InProcessServer(g)}}}
		q.conn, err = nats.Connect(t.Context(), q.cfg, nil, natsgo.InProcessServer(srv))
		if err != nil {
			t.Fatal(err)
		}
		b.setUp(q.conn, q.cfg)
		test(t, q, g)
		q.conn.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	})
}

func inOwnProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), ownProcess+"="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Not fetching is the pause: for three ack waits nothing is redelivered, and no
// more than the window was ever fetched.
func TestAPauseOfThreeAckWaits(t *testing.T) {
	bubble(t, func(t *testing.T, q *testQueue, _ *gate) {
		q.with.Window = 300
		q.publish(1000, 10)
		p := q.startPod()
		var ds []*queue.Delivery
		for len(ds) < 150 {
			more, err := p.strand.Fetch(t.Context(), queue.Room{Messages: 300 - len(ds), Bytes: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			ds = append(ds, more...)
		}
		time.Sleep(3 * q.cfg.AckWait)
		got := q.info()
		if got.NumRedelivered != 0 || got.Delivered.Consumer > 300 || got.Delivered.Stream != got.Delivered.Consumer {
			t.Errorf("delivered %d, redelivered %d; want at most the window of 300 and none", got.Delivered.Consumer, got.NumRedelivered)
		}
		if d := ds[0].Attempt(); d != 1 {
			t.Errorf("attempt %d", d)
		}
		begin := time.Now()
		ack(ds...)
		p.drain(1000 - len(ds))
		if d := time.Since(begin); d > time.Second {
			t.Errorf("flow was back after %v, want 1s at most", d)
		}
		q.pending(0, 0)
		if got := q.info(); got.Delivered.Consumer != 1000 {
			t.Errorf("%d deliveries in all, want 1000", got.Delivered.Consumer)
		}
		p.stop()
	})
}

// What is held for three ack waits is not delivered again, although the server has a
// request that it could answer with it.
func TestWhatIsHeldIsMarked(t *testing.T) {
	bubble(t, func(t *testing.T, q *testQueue, _ *gate) {
		q.publish(50, 10)
		p := q.startPod()
		ds := p.fetch(50)
		p.none(3 * q.cfg.AckWait)
		if got := q.info(); got.NumRedelivered != 0 || got.Delivered.Consumer != 50 {
			t.Errorf("%d deliveries, %d redelivered; want 50 and none", got.Delivered.Consumer, got.NumRedelivered)
		}
		ack(ds...)
		q.pending(0, 0)
		p.stop()
	})
}

// Ten minutes without a network: what was held and acknowledged meanwhile is
// told as soon as the server is back, and what came again is not handed out.
func TestTenMinutesOfDisconnection(t *testing.T) {
	bubble(t, func(t *testing.T, q *testQueue, g *gate) {
		q.publish(100, 10)
		p := q.startPod()
		ds := p.fetch(50)
		ack(ds[:10]...)
		g.set(true)
		time.Sleep(5 * time.Minute)
		ack(ds[10:30]...)
		if st := p.strand.Status(); st.State != queue.StateBrokerAway {
			t.Errorf("state is %q", st.State)
		}
		time.Sleep(5 * time.Minute)
		g.set(false)
		begin := time.Now()
		more := p.fetch(50)
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("flow was back after %v, want 3s at most", d)
		}
		ack(ds[30:]...)
		ack(more...)
		q.pending(0, 0)
		p.stop()
	})
}

// A connection that is up but carries nothing is replaced long before the pings of
// the client library would notice.
func TestASilentConnectionIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, q *testQueue, g *gate) {
		q.publish(100, 10)
		p := q.startPod()
		ds := p.fetch(50)
		g.swallow()
		ack(ds...)
		begin := time.Now()
		more := p.fetch(50)
		if d := time.Since(begin); d > 20*time.Second {
			t.Errorf("flow was back after %v, want 20s at most", d)
		}
		ack(more...)
		q.pending(0, 0)
		p.stop()
	})
}

// The keeper asks a server that says nothing whether it has the acknowledgements; the
// end of the strand does not wait for that question beyond its own deadline.
func TestAStopDoesNotWaitForASilentServer(t *testing.T) {
	bubble(t, func(t *testing.T, q *testQueue, g *gate) {
		q.publish(10, 10)
		p := q.startPod()
		ds := p.fetch(10)
		g.swallow()
		ack(ds...)
		time.Sleep(500 * time.Millisecond) // simulated; the question is under way
		p.end(&queue.End{Reason: queue.Stopping, Deadline: time.Now()})
		if _, err := p.strand.End(p.patience()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.strand.Finish(nil)
		if err := <-p.done; err != nil {
			t.Errorf("run: %v", err)
		}
		// Two seconds for what is on its way, and the one that the last acknowledgements always have.
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

// Acknowledgements in a connection that dies before they are read are repeated on
// the next.
func TestAcksThatACutConnectionSwallowedAreRepeated(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	m := &deafDialer{}
	q.with.NATS = []natsgo.Option{natsgo.SetCustomDialer(m)}
	q.publish(100, 10)
	p := q.startPod()
	ds := p.fetch(100)
	m.deafen()
	ack(ds...)
	m.cut()
	q.pending(0, 0)
	if got := q.info().Delivered.Consumer; got != 100 {
		t.Errorf("%d deliveries in all, want 100", got)
	}
	p.stop()
}

// The worst case: acknowledgements are owed while stream and consumer are made
// anew with the same sequences, unseen by us.
func TestARecreationDuringADisconnectionLosesNothing(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	m := &deafDialer{}
	q.with.NATS = []natsgo.Option{natsgo.SetCustomDialer(m)}
	q.publish(5, 10)
	p := q.startPod()
	old := p.fetch(5)
	m.refuse(true)
	m.cut()
	p.state(queue.StateBrokerAway)
	q.recreateStream()
	q.publish(5, 10)
	other := q.openOther()
	fresh := other.fetch(5) // the new messages are out, so that an old ack would remove them
	ack(old...)
	m.refuse(false)
	if end, err := p.strand.End(p.patience()); err != nil || end.Reason != queue.Lost {
		t.Fatalf("strand ended with %v, %v; want lost", end, err)
	}
	p.strand.Finish(nil)
	p.next()
	q.pending(5, 0)
	p.stop()
	other.stop(fresh...)
	last := q.openOther()
	ack(last.fetch(5)...)
	q.pending(0, 0)
	last.stop()
}

// openOther starts a pod on an ordinary network.
func (q *testQueue) openOther() *pod {
	q.Helper()
	twin := *q
	twin.with.NATS = nil
	return twin.startPod()
}

// deafDialer makes connections whose writes can be swallowed, or none.
type deafDialer struct {
	mu      sync.Mutex
	conns   []*deafConn
	refused bool
}

func (d *deafDialer) refuse(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = on
}

type deafConn struct {
	net.Conn
	mu   sync.Mutex
	deaf bool
}

func (d *deafDialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused {
		return nil, errorf("refused")
	}
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	d.conns = append(d.conns, &deafConn{Conn: c})
	return d.conns[len(d.conns)-1], nil
}

func (d *deafDialer) deafen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.mu.Lock()
		c.deaf = true
		c.mu.Unlock()
	}
}

func (d *deafDialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Close()
	}
}

func (c *deafConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	deaf := c.deaf
	c.mu.Unlock()
	if deaf {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
