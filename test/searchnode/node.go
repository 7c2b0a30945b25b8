package searchnode

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/test/javaserver"
)

// readyWithin is how long a start may take on a busy machine.
const readyWithin = 5 * time.Minute

// Options say what to start. The zero value is an [OpenSearch] that lets everybody in.
type Options struct {
	Product       Product
	Settings      map[string]string // of the node, over this package's own
	Authorization string            // what the header of that name has to be: "Basic ..." or "ApiKey ..."
	TLS           bool              // HTTPS, of OpenSearch only; see Node.Certs
}

// Node is one running node. All methods but those that end or start its process may be
// called from any goroutine.
type Node struct {
	options Options
	name    string // of the cluster, new for every node
	dir     string
	jars    string
	port    int
	certs   javaserver.Certs
	client  *http.Client
	child   *javaserver.Child
}

// Run starts a node whose data lie below dir and waits until it serves. The caller
// calls Close, also to have the process ended.
func Run(ctx context.Context, dir string, o Options) (*Node, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	n := &Node{options: o, name: "flushline-" + strings.ToLower(rand.Text()), dir: dir}
	var err error
	if n.jars, err = Jars(ctx, o.Product); err != nil {
		return nil, err
	}
	if err = n.prepare(); err == nil {
		err = n.Start(ctx)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// prepare makes what all starts of the node share.
func (n *Node) prepare() (err error) {
	n.options.Settings = maps.Clone(n.options.Settings)
	if n.options.TLS {
		if n.certs, err = javaserver.MakeCerts(n.dir); err != nil {
			return err
		}
	}
	if n.client, err = n.newClient(); err != nil {
		return err
	}
	logging, err := dist.ReadFile("dist/log4j2.properties")
	if err != nil {
		return fmt.Errorf("couldn't read the logging of a node: %w", err)
	}
	if err := os.WriteFile(n.loggingFile(), logging, 0o644); err != nil {
		return fmt.Errorf("couldn't write the logging of a node: %w", err)
	}
	return nil
}

// Start starts a node that does not run, on the same data and port, and waits until it
// serves.
func (n *Node) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if n.port == 0 {
		r, err := javaserver.Reserve(1)
		if err != nil {
			return err
		}
		n.port = r.Ports[0]
		r.Free()
	}
	var err error
	if n.child, err = javaserver.Spawn(n.java(), n.logFile()); err == nil {
		err = n.ready(ctx)
	}
	if err != nil {
		return fmt.Errorf("couldn't start %s: %w\n%s", n, err, n.Log())
	}
	return nil
}

// java is the node's command line: a small heap and the cheapest collector and
// compiler, because a test's node lives for seconds.
func (n *Node) java() *exec.Cmd {
	settings := map[string]string{
		"cluster.name":   n.name,
		"node.name":      "node",
		"discovery.type": "single-node",
		"network.host":   "127.0.0.1",
		"http.port":      fmt.Sprint(n.port),
		"transport.port": "0",
		// The disk of the machine is not what a test is about.
		"cluster.routing.allocation.disk.threshold_enabled": "false",
	}
	if n.options.Authorization != "" {
		settings["gate.authorization"] = n.options.Authorization
	}
	if n.options.TLS {
		settings["gate.pem"] = n.certs.Server
		settings["http.type"] = "netty4-secure"
	}
	maps.Copy(settings, n.options.Settings)
	args := []string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.net.preferIPv4Stack=true",
		"-Dlog4j2.configurationFile=" + n.loggingFile(), "-Djava.io.tmpdir=" + n.dir,
		"-cp", n.jars + string(os.PathListSeparator) + filepath.Join(n.jars, "libs", "*"),
		"com.github.flushline.SearchNode", filepath.Join(n.dir, "home"),
	}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, k+"="+settings[k])
	}
	return exec.Command("java", args...)
}

// ready waits until this node answers, and then holds it to the port being its own.
func (n *Node) ready(ctx context.Context) error {
	for {
		if !n.child.Running() {
			return fmt.Errorf("it ended at start: %v", n.child.State())
		}
		err := n.answers(ctx)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w (%w)", err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	if ok, err := javaserver.Holds(n.PID(), n.port); err != nil || !ok {
		return errors.Join(fmt.Errorf("port %d is not held by process %d", n.port, n.PID()), err)
	}
	return nil
}

// answers says what is missing for this node to be ready: after a restart also the
// shards of its indices.
func (n *Node) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, body, err := n.Do(ctx, http.MethodGet, "/_cluster/health?wait_for_status=yellow&timeout=5s", "")
	if err != nil {
		return err
	}
	var health struct {
		Cluster string `json:"cluster_name"`
		Status  string `json:"status"`
	}
	if err := json.Unmarshal(body, &health); err != nil {
		return fmt.Errorf("status %d: %w", status, err)
	}
	if health.Cluster != n.name {
		return fmt.Errorf("another cluster (%q) answers at port %d", health.Cluster, n.port)
	}
	if status != http.StatusOK || health.Status == "red" {
		return fmt.Errorf("the cluster is %s (status %d)", health.Status, status)
	}
	return nil
}

// String is product and version.
func (n *Node) String() string {
	return n.options.Product.String() + " " + n.options.Product.Version()
}
