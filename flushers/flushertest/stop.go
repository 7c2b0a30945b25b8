package flushertest

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/flushline/flushline/protocol"
)

func stopFlushes(b *bench) {
	l := b.begin()
	l.mustStop() // of an instance that never flushed

	l = b.begin()
	batch := b.groups(3)
	for _, s := range batch {
		b.must(l, s)
	}
	l.setUrgent(false)
	began := time.Now()
	l.mustStop()
	if took := time.Since(began); took > otherLimit {
		b.Errorf("Stop took %s, want at most %s", took, otherLimit)
	}
	b.stored("after Stop", true, batch...)
}

// returned gives back what an instance took from a process's shared values.
type returned struct {
	in *Process

	mu       sync.Mutex
	releases []func()
	fail     error
}

func (c *returned) share(key string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return nil, nil, c.fail
	}
	v, release, err := c.in.share(key, open)
	if err != nil {
		return nil, nil, err
	}
	c.releases = append(c.releases, release)
	return v, release, nil
}

// giveBack releases what a failed Init has taken, as the worker does.
func (c *returned) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, release := range c.releases {
		release()
	}
	c.releases = nil
}

var errNotShared = errors.New("couldn't open what instances share: the suite refuses it")

func stopReleasesShared(b *bench) {
	p := new(Process)
	var lanes []*life
	for _, logstore := range []string{"one", "two", "one"} {
		lanes = append(lanes, b.beginIn(p, protocol.Key{Project: b.key.Project, Logstore: logstore, Config: b.key.Config}))
	}
	var all []*sample
	for i, l := range lanes {
		s := b.group(1)
		b.must(l, s)
		all = append(all, s)
		for _, other := range lanes[i+1:] {
			if !other.ready() {
				other.becomesReady("after another instance was stopped")
			}
		}
		l.setUrgent(false)
		l.mustStop()
	}
	b.stored("the instances before were stopped", true, all...)
	if n := p.Shared.Len(); n > 0 {
		b.Errorf("%d shared values are open after all instances were stopped: Stop has to call what Shared returned as release", n)
	}
}
