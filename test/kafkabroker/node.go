package kafkabroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logTail is how much of a broker's log is shown.
const logTail = 64 << 10

// Node is one broker, which is a controller too.
type Node struct {
	cluster                      *Cluster
	id                           int
	dir                          string
	controller, internal, client int // ports; client is internal unless clients have a listener of their own
	advertised                   string
	child                        *child
}

// ID is the node id.
func (n *Node) ID() int { return n.id }

// Addr is where clients connect: the address that the broker advertises.
func (n *Node) Addr() string { return n.advertised }

// PID is the id of the broker's process, also after it ended.
func (n *Node) PID() int { return n.child.cmd.Process.Pid }

// Running says whether the process has not ended; a frozen one runs.
func (n *Node) Running() bool { return n.child.running() }

// Kill ends the broker at once (SIGKILL) and waits for that.
func (n *Node) Kill() { n.child.kill() }

// Stop asks the broker to end (SIGTERM), so that it hands its leaderships over,
// and waits for that.
func (n *Node) Stop(tb TB) {
	tb.Helper()
	if err := n.child.terminate(time.Minute); err != nil {
		tb.Fatalf("couldn't stop broker %d: %v\n%s", n.id, err, n.Log())
	}
}

// Freeze stops the broker's clock (SIGSTOP) until Thaw; connections stay open.
func (n *Node) Freeze(tb TB) {
	tb.Helper()
	if err := n.child.freeze(); err != nil {
		tb.Fatalf("couldn't freeze broker %d: %v", n.id, err)
	}
}

// Thaw lets a frozen broker go on.
func (n *Node) Thaw() { n.child.thaw() }

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
func (n *Node) Log() string {
	f, err := os.Open(n.logFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		_, _ = f.Seek(-logTail, io.SeekEnd) // from the start is right too
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

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
	c, err := spawn(n.java("-Xmx128m", "kafka.tools.StorageTool", append(args, n.cluster.options.scramUsers()...)...), n.logFile())
	if err != nil {
		return err
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.kill()
		return fmt.Errorf("couldn't format the storage of broker %d: %w", n.id, ctx.Err())
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("couldn't format the storage of broker %d: code %d", n.id, code)
	}
	return nil
}

func (n *Node) propertiesFile() string { return filepath.Join(n.dir, "server.properties") }

func (n *Node) launch() error {
	var err error
	n.child, err = spawn(n.java("-Xmx512m", "kafka.Kafka", n.propertiesFile()), n.logFile())
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
		if !n.child.running() {
			return fmt.Errorf("broker %d ended at start: %v", n.id, n.child.cmd.ProcessState)
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
		if ok, err := holds(n.PID(), port); err != nil || !ok {
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
