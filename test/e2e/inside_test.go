//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// inside is the queue that the worker itself runs.
type inside struct {
	*broker
	listen string
}

// newInside is one that listens where nobody else on this machine does.
func newInside(dir string) *inside {
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))
	}
	return &inside{&broker{dir: dir, durable: durableName}, fmt.Sprintf("%s:%d", host, 20_000+rand.IntN(12_000))}
}

func (i *inside) source(string) string {
	return fmt.Sprintf("embedded: {dir: %q, listen: %q}", i.dir, i.listen)
}

// connect makes the test's own connection, as a publisher has it.
func (i *inside) connect(t *testing.T) {
	t.Helper()
	var err error
	eventually(t, 20*time.Second, "the embedded queue listens", func() bool {
		i.nc, err = nats.Connect("nats://"+i.listen, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
		return err == nil
	})
	t.Cleanup(i.nc.Close)
	if i.js, err = jetstream.New(i.nc); err != nil {
		t.Fatal(err)
	}
}
