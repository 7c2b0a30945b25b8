package searchnode

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/flushline/flushline/test/javaserver"
)

// Product is what the node runs.
func (n *Node) Product() Product { return n.options.Product }

// Addr is host and port, the same over restarts.
func (n *Node) Addr() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

// URL is where clients post, without a slash at its end.
func (n *Node) URL() string {
	if n.options.TLS {
		return "https://" + n.Addr()
	}
	return "http://" + n.Addr()
}

// Certs are the files for TLS. The server's is read for each connection.
func (n *Node) Certs() javaserver.Certs { return n.certs }

// PID is the id of the node's process, also after it ended.
func (n *Node) PID() int { return n.child.PID() }

// Running says whether the process has not ended; a frozen one runs.
func (n *Node) Running() bool { return n.child.Running() }

// Kill ends the node at once (SIGKILL) and waits for that.
func (n *Node) Kill() { n.child.Kill() }

// Close kills what still runs. The data stay for whoever owns their directory.
func (n *Node) Close() {
	if n.child != nil {
		n.child.Kill()
	}
	if n.client != nil {
		n.client.CloseIdleConnections()
	}
}

// Stop asks the node to end (SIGTERM) and waits for that.
func (n *Node) Stop(tb TB) {
	tb.Helper()
	if err := n.child.Terminate(time.Minute); err != nil {
		tb.Fatalf("couldn't stop %s: %v\n%s", n, err, n.Log())
	}
}

// Freeze stops the node's clock (SIGSTOP) until Thaw; connections stay open.
func (n *Node) Freeze(tb TB) {
	tb.Helper()
	if err := n.child.Freeze(); err != nil {
		tb.Fatalf("couldn't freeze %s: %v", n, err)
	}
}

// Thaw lets a frozen node go on.
func (n *Node) Thaw() { n.child.Thaw() }

// Restart starts the node again on the same data and port, with more settings, and
// waits until it serves; one that still runs is stopped before.
func (n *Node) Restart(tb TB, settings map[string]string) {
	tb.Helper()
	if n.Running() {
		n.Stop(tb)
	}
	if n.options.Settings == nil {
		n.options.Settings = make(map[string]string)
	}
	maps.Copy(n.options.Settings, settings)
	if err := n.Start(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatalf("%v", err)
	}
}

// Log is the end of what the node wrote, at level WARN, over all its starts.
func (n *Node) Log() string { return javaserver.Tail(n.logFile()) }

func (n *Node) logFile() string     { return filepath.Join(n.dir, "log") }
func (n *Node) loggingFile() string { return filepath.Join(n.dir, "log4j2.properties") }

// Renew gives a node with TLS a new authority and certificate, which it shows to new
// connections, and returns the authority, in PEM. The client of this package trusts it
// after the next start.
func (n *Node) Renew(tb TB) (ca []byte) {
	tb.Helper()
	if _, err := javaserver.MakeCerts(n.dir); err != nil {
		tb.Fatalf("%v", err)
	}
	ca, err := os.ReadFile(n.certs.CA)
	if err == nil {
		n.client.CloseIdleConnections()
		n.client, err = n.newClient()
	}
	if err != nil {
		tb.Fatalf("couldn't trust the new authority: %v", err)
	}
	return ca
}
