package faultproxy_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
)

func TestBytesWaitAsLongAsTheyAreOnTheirWay(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		const latency = 300 * time.Millisecond
		p.proxy.Set(w, faultproxy.Fault{Latency: latency, Jitter: 50 * time.Millisecond})
		p.travels(to, from, "the other way has no fault")
		began := time.Now()
		for i := range 10 {
			p.sends(from, string(rune('0'+i)))
		}
		p.gets(to, "0123456789") // nothing overtakes
		if took := time.Since(began); took < latency {
			p.Errorf("they took %v, want at least %v", took, latency)
		}
		if n := p.proxy.Met(w).Delayed; n != 10 {
			p.Errorf("%d bytes were delayed, want 10", n)
		}
	})
}

func TestBytesPassAtTheRate(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		const rate, n = 100_000, 30_000
		p.proxy.Set(w, faultproxy.Fault{Rate: rate})
		want := string(bytes.Repeat([]byte("0123456789"), n/10))
		began := time.Now()
		go func() { _, _ = io.WriteString(from, want) }() // gets fails
		p.gets(to, want)
		if took, least := time.Since(began), 250*time.Millisecond; took < least {
			p.Errorf("%d bytes took %v at %d a second, want at least %v", n, took, rate, least)
		}
		p.until("all are counted", func() bool { return p.proxy.Met(w).Slowed == n })
	})
}

func TestWhatIsHeldGoesOn(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		p.proxy.Set(w, faultproxy.Fault{Hold: true})
		p.sends(from, "late")
		p.travels(to, from, "the other way goes on")
		p.silent(to)
		p.until("four bytes are held", func() bool { return p.proxy.Met(w).Held == 4 })
		p.proxy.Heal()
		p.gets(to, "late")
		p.travels(from, to, "and goes on")
	})
}

func TestWhatIsDroppedIsGone(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		p.proxy.Set(w, faultproxy.Fault{Drop: true})
		p.sends(from, "gone")
		p.travels(to, from, "the other way goes on")
		p.silent(to)
		p.until("four bytes are gone", func() bool { return p.proxy.Met(w).Dropped == 4 })
		p.proxy.Heal()
		p.reset(to)
		p.reset(from)
		if n := p.proxy.Resets(); n != 1 {
			p.Errorf("%d connections were reset, want the one that lost bytes", n)
		}
	})
}

// A connection that lost nothing survives the blackhole.
func TestADropThatMetNothingResetsNothing(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		p.proxy.Set(w, faultproxy.Fault{Drop: true})
		p.proxy.Heal()
		p.travels(from, to, "still here")
		if n := p.proxy.Resets(); n != 0 {
			p.Errorf("%d connections were reset", n)
		}
	})
}

func TestAConnectionIsCutBehindItsBytes(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		p.proxy.Set(w, faultproxy.Fault{CutAfter: 7})
		p.travels(from, to, "1234")
		p.sends(from, "56789")
		if got, err := io.ReadAll(to); err != nil || string(got) != "567" {
			p.Errorf("got %q, %v, want 567 and the end", got, err)
		}
		p.reset(from)
		if n := p.proxy.Met(w).Cut; n != 1 {
			p.Errorf("%d connections were cut, want one", n)
		}
		p.until("it is no more", func() bool { return p.proxy.Open() == 0 })
	})
}

func TestOneHalfCloses(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		if n := p.proxy.HalfClose(w); n != 1 {
			p.Fatalf("%d connections were half closed, want one", n)
		}
		if got, err := io.ReadAll(to); err != nil || len(got) > 0 {
			p.Errorf("got %q, %v, want the end", got, err)
		}
		p.sends(from, "nobody hears this")
		p.travels(to, from, "the other half is open")
		if n := p.proxy.HalfClose(w); n != 0 || p.proxy.Met(w).HalfClosed != 1 {
			p.Errorf("%d more were half closed, %d counted, want the one", n, p.proxy.Met(w).HalfClosed)
		}
	})
}

func TestBytesAreChanged(t *testing.T) {
	eachWay(t, func(p *pair, w faultproxy.Way, from, to *net.TCPConn) {
		const n = 100_000
		p.proxy.Set(w, faultproxy.Fault{Change: faultproxy.OneIn(1000, rand.New(rand.NewPCG(7, 7)))})
		sent := bytes.Repeat([]byte{0x55}, n)
		go func() { _, _ = from.Write(sent) }() // ReadFull fails
		got := make([]byte, n)
		if _, err := io.ReadFull(to, got); err != nil {
			p.Fatal(err)
		}
		var differ int64
		for i := range got {
			if got[i] != sent[i] {
				differ++
			}
		}
		if counted := p.proxy.Met(w).Changed; differ != counted || differ < 50 || differ > 200 {
			p.Errorf("%d bytes differ, %d were counted, want the same, about one in 1000 of %d", differ, counted, n)
		}
		p.proxy.Heal()
		p.travels(from, to, "well again")
	})
}

func TestConnectionsAreReset(t *testing.T) {
	t.Parallel()
	p := connect(t)
	if n := p.proxy.Reset(); n != 1 || p.proxy.Resets() != 1 {
		t.Errorf("%d were reset, %d counted, want one", n, p.proxy.Resets())
	}
	p.reset(p.client)
	p.reset(p.server)
	p.takes("after a reset")
}

func TestABrokenProxyRefuses(t *testing.T) {
	t.Parallel()
	p := connect(t)
	if n := p.proxy.Break(); n != 1 {
		t.Errorf("%d connections were cut, want one", n)
	}
	p.reset(p.client)
	if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting: %v, %v, want a refusal", c, err)
	}
	p.proxy.Heal()
	p.takes("after it healed")
}

// Tests heal from several goroutines: one of them listens again, the others find it done.
func TestWhoHealsBesideAnotherIsDoneToo(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for range 20 {
		p.proxy.Break()
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			all.Go(func() { <-begin; p.proxy.Heal() })
		}
		close(begin)
		all.Wait()
	}
	p.takes("after it healed")
}

// A side that resets its connection resets the other's, and one that ends it in
// order ends it in order.
func TestEndsAreTheSameOnBothSides(t *testing.T) {
	eachWay(t, func(p *pair, _ faultproxy.Way, from, to *net.TCPConn) {
		p.sends(from, "last words")
		if err := from.CloseWrite(); err != nil {
			p.Fatal(err)
		}
		if got, err := io.ReadAll(to); err != nil || string(got) != "last words" {
			p.Errorf("got %q, %v", got, err)
		}
		p.travels(to, from, "the answer")
		if err := errors.Join(from.SetLinger(0), from.Close()); err != nil {
			p.Fatal(err)
		}
		p.until("the link is over", func() bool {
			_, err := to.Write([]byte("x"))
			return err != nil
		})
	})
}

// A proxy before a server that is away closes what connects.
func TestWithoutAServerConnectionsEnd(t *testing.T) {
	t.Parallel()
	l := listen(t)
	gone := l.Addr().String()
	l.Close()
	p := faultproxy.New(t, gone, nil)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("read %d, %v, want the end", n, err)
	}
}
