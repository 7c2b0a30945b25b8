package flushertest_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/flushertest"
)

func TestAProxyBreaksHangsAndHeals(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "here")
	}))
	t.Cleanup(server.Close)
	p := flushertest.NewProxy(t, server.Listener.Addr().String())
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	get := func(within time.Duration) error {
		c := *client
		c.Timeout = within
		resp, err := c.Get("http://" + p.Addr())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err == nil && string(said) != "here" {
			t.Errorf("the server said %q", said)
		}
		return err
	}
	for range 2 {
		if err := get(20 * time.Second); err != nil {
			t.Fatalf("well: %v", err)
		}
		p.Break()
		var op *net.OpError
		if err := get(20 * time.Second); !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("broken: %v, want a connection that is refused", err)
		}
		p.Heal()
		if err := get(20 * time.Second); err != nil {
			t.Fatalf("healed: %v", err)
		}
		p.Hang()
		if err := get(time.Second); !os.IsTimeout(err) {
			t.Errorf("hanging: %v, want no answer", err)
		}
		p.Heal()
	}
}

func TestWhatHangsGoesOnWhenItIsHealed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	p := flushertest.NewProxy(t, server.Listener.Addr().String())
	p.Hang()
	done := make(chan error, 1)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	go func() {
		resp, err := client.Get("http://" + p.Addr())
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not hang: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	p.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A server that begins on a free port while a proxy is broken must not get the
// proxy's, and answer in its place.
func TestTheAddressOfABrokenProxyIsGivenToNobody(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 50 {
		p := flushertest.NewProxy(t, "127.0.0.1:1")
		p.Break()
		addr, err := net.ResolveTCPAddr("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if !addr.IP.IsLoopback() || addr.Port >= 32768 {
			t.Errorf("%s is no loopback address, or one that systems give out", addr)
		}
		if seen[addr.String()] && runtime.GOOS == "linux" {
			t.Errorf("two proxies have %s", addr)
		}
		seen[addr.String()] = true
	}
}
