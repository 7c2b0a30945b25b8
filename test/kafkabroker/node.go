package kafkabroker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/test/javaserver"
)

// Node is one broker, which is a controller too.
type Node struct {
	cluster                      *Cluster
	id                           int
	dir                          string
	controller, internal, client int // ports; client is internal unless clients have a listener of their own
	advertised                   string
	child                        *javaserver.Child
}

// ID is the node id.
func (n *Node) ID() int { return n.id }

// Addr is where clients connect: the address that the broker advertises.
func (n *Node) Addr() string { return n.advertised }

// PID is the id of the broker's process, also after it ended.
func (n *Node) PID() int { return n.child.PID() }

// Running says whether the process has not ended; a frozen one runs.
func (n *Node) Running() bool { return n.child.Running() }

// Kill ends the broker at once (SIGKILL) and waits for that.
func (n *Node) Kill() { n.child.Kill() }

// Stop asks the broker to end (SIGTERM), so that it hands its leaderships over,
// and waits for that.
func (n *Node) Stop(tb TB) {
	tb.Helper()
	if err := n.child.Terminate(time.Minute); err != nil {
		tb.Fatalf("couldn't stop broker %d: %v\n%s", n.id, err, n.Log())
	}
}

// Freeze stops the broker's clock (SIGSTOP) until Thaw; connections stay open.
func (n *Node) Freeze(tb TB) {
	tb.Helper()
	if err := n.child.Freeze(); err != nil {
		tb.Fatalf("couldn't freeze broker %d: %v", n.id, err)
	}
}

// Thaw lets a frozen broker go on.
func (n *Node) Thaw() { n.child.Thaw() }

// Restart starts the broker again on the same data and ports and waits until it
// serves; one that still runs is stopped before.
func (n *Node) Restart(tb TB) {
	tb.Helper()
	if n.Running() {
		n.Stop(tb)
	}
	if err := n.Start(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatalf("%v", err)
	}
}

// Start starts a broker that does not run, on the same data and ports, and waits
// until it serves.
func (n *Node) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	err := n.launch()
	if err == nil {
		err = n.ready(ctx)
	}
	if err != nil {
		return fmt.Errorf("couldn't restart broker %d: %w\n%s", n.id, err, n.Log())
	}
	return nil
}

// Log is the end of what the broker wrote, at level WARN, over all its starts.
func (n *Node) Log() string { return javaserver.Tail(n.logFile()) }

func (n *Node) logFile() string { return filepath.Join(n.dir, "log") }

// format makes the directory, its settings and the storage.
func (n *Node) format(ctx context.Context) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return fmt.Errorf("couldn't make the broker's directory: %w", err)
	}
	if err := os.WriteFile(n.propertiesFile(), []byte(properties(n.cluster.settings(n))), 0o644); err != nil {
		return fmt.Errorf("couldn't write server.properties: %w", err)
	}
	args := []string{"format", "-t", n.cluster.id, "-c", n.propertiesFile()}
	c, err := javaserver.Spawn(n.java("-Xmx128m", "kafka.tools.StorageTool", append(args, n.cluster.options.scramUsers()...)...), n.logFile())
	if err != nil {
		return err
	}
	select {
	case <-c.Ended():
	case <-ctx.Done():
		c.Kill()
		return fmt.Errorf("couldn't format the storage of broker %d: %w", n.id, ctx.Err())
	}
	if code := c.State().ExitCode(); code != 0 {
		return fmt.Errorf("couldn't format the storage of broker %d: code %d", n.id, code)
	}
	return nil
}

func (n *Node) propertiesFile() string { return filepath.Join(n.dir, "server.properties") }

func (n *Node) launch() error {
	var err error
	n.child, err = javaserver.Spawn(n.java("-Xmx512m", "kafka.Kafka", n.propertiesFile()), n.logFile())
	return err
}

// java runs a class of Kafka: a small heap and the cheapest collector and
// compiler, because a test's broker lives for seconds.
func (n *Node) java(heap, class string, args ...string) *exec.Cmd {
	all := []string{
		heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.net.preferIPv4Stack=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(n.cluster.dir, "log4j2.properties"),
		"-Dlog4j.configuration=file:" + filepath.Join(n.cluster.dir, "log4j.properties"),
		"-cp", filepath.Join(n.cluster.jars, "*"), class,
	}
	return exec.Command("java", append(all, args...)...)
}

// ready waits until this broker answers as a member of our cluster that knows its
// controller and all brokers, and then holds it to the port being its own.
func (n *Node) ready(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", n.internal)), kgo.DisableClientMetrics(), kgo.RequestRetries(0))
	if err != nil {
		return fmt.Errorf("couldn't make a client: %w", err)
	}
	defer cl.Close()
	var last error
	for {
		if !n.child.Running() {
			return fmt.Errorf("broker %d ended at start: %v", n.id, n.child.State())
		}
		if last = n.answers(ctx, cl); last == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("broker %d is not ready: %w (%w)", n.id, last, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, port := range []int{n.controller, n.internal, n.client} {
		if ok, err := javaserver.Holds(n.PID(), port); err != nil || !ok {
			return errors.Join(fmt.Errorf("port %d is not held by broker %d (pid %d)", port, n.id, n.PID()), err)
		}
	}
	return nil
}

// answers says what is missing for this broker to be ready.
func (n *Node) answers(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if resp.ClusterID == nil || *resp.ClusterID != n.cluster.id {
		return fmt.Errorf("another cluster answers at port %d", n.internal)
	}
	if resp.ControllerID < 0 {
		return errors.New("no controller yet")
	}
	for _, b := range resp.Brokers {
		if b.NodeID == int32(n.id) {
			return nil
		}
	}
	return errors.New("the broker is not registered yet")
}
