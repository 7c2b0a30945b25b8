package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing/synctest"
	"time"
)

// The faults of NATS. Those of the network concern one worker's connections.
const (
	natsCut         = "nats-cut"           // they break, and the network is away for a moment or longer
	natsCutMidFrame = "nats-cut-mid-frame" // they break within what the server says
	natsDeafServer  = "nats-deaf-server"   // what the worker says is swallowed
	natsDeafWorker  = "nats-deaf-worker"   // what the server says is swallowed
	natsHole        = "nats-hole"          // both are
	natsSlow        = "nats-slow-consumer" // the worker reads nothing, until the server gives it up
	natsRestart     = "nats-restart"       // the server ends in order and comes back
	natsCrash       = "nats-crash"         // the server is killed and comes back with what its files held
	natsDelete      = "nats-delete"        // somebody deletes the consumer; it is set up again
)

func (h *natsHalf) kinds() []string {
	return []string{natsCut, natsCutMidFrame, natsDeafServer, natsDeafWorker, natsHole, natsSlow, natsRestart, natsCrash, natsDelete}
}

func (h *natsHalf) cleanKinds() []string { return nil }

// survived are all but those after which the server does not know what it knew.
func (h *natsHalf) survived() []string {
	return []string{natsCut, natsCutMidFrame, natsDeafServer, natsDeafWorker, natsHole, natsSlow, natsRestart}
}

func (h *natsHalf) fault(f *fault) {
	switch f.kind {
	case natsRestart:
		h.restart(f)
		return
	case natsCrash:
		h.crash(f)
		return
	case natsDelete:
		h.delete(f)
		return
	}
	p := h.w.slots[f.slot].pod.Load()
	if p == nil {
		return
	}
	d := h.network.of(p)
	switch f.kind {
	case natsCut:
		d.away(true)
		if d.cut() > 0 {
			h.w.saw(f.kind)
		}
		time.Sleep(f.lasts)
		d.away(false)
	case natsCutMidFrame:
		for _, c := range d.open() {
			c.snap.Store(int64(1 + f.n%3000))
			h.w.graves.Go(func() { h.snapped(c, f) })
		}
	case natsSlow:
		h.stall(d, f)
	default:
		h.swallow(d, f)
	}
}

// snapped waits until a connection broke where it should.
func (h *natsHalf) snapped(c *wire, f *fault) {
	select {
	case <-c.ended:
		if c.snap.Load() <= 0 {
			h.w.saw(f.kind)
		}
	case <-h.w.ctx.Done():
	}
}

// swallow makes holes of the connections there are; those made later are sound.
func (h *natsHalf) swallow(d *door, f *fault) {
	conns := d.open()
	for _, c := range conns {
		if f.kind != natsDeafWorker {
			c.deafServer.Store(true)
		}
		if f.kind != natsDeafServer {
			c.deafClient.Store(true)
		}
	}
	time.Sleep(f.lasts)
	for _, c := range conns {
		if c.swallowed.Load() > 0 {
			h.w.saw(f.kind)
		}
		_ = c.Close() // a stream with a hole in it is no stream any more
	}
}

// stall lets the worker read nothing for longer than the server writes to nobody.
func (h *natsHalf) stall(d *door, f *fault) {
	srv := h.network.server()
	before := int64(0)
	if srv != nil {
		before = srv.NumSlowConsumers()
	}
	again := make(chan struct{})
	for _, c := range d.open() {
		c.stalled.Store(&again)
	}
	time.Sleep(f.lasts + 12*time.Second)
	if srv != nil && srv.NumSlowConsumers() > before {
		h.w.saw(f.kind)
	}
	for _, c := range d.open() {
		c.stalled.CompareAndSwap(&again, nil)
	}
	close(again)
}

// restart ends the server in order; another begins with its files.
func (h *natsHalf) restart(f *fault) {
	srv := h.network.set(nil)
	if srv == nil {
		return // it is away already
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	h.w.saw(f.kind)
	time.Sleep(f.lasts)
	h.serve()
}

// crash ends the server as kill -9 does: the next one begins with the files as they
// were at one moment. The farewell of the old one reaches nobody.
func (h *natsHalf) crash(f *fault) {
	h.crashing <- struct{}{} // only one goroutine may wait for all others
	synctest.Wait()
	srv := h.network.server()
	image := filepath.Join(h.dir, fmt.Sprint("image-", len(h.images)))
	var err error
	if srv != nil {
		if err = os.CopyFS(image, os.DirFS(h.opts.StoreDir)); err == nil {
			h.network.set(nil)
			h.images = append(h.images, image)
			h.opts.StoreDir = image
		}
	}
	<-h.crashing
	if err != nil {
		h.w.book.violate("the files of the server cannot be copied: %v", err)
	}
	if srv == nil || err != nil {
		return
	}
	for _, d := range h.network.all() {
		d.cut()
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	h.w.saw(f.kind)
	time.Sleep(f.lasts)
	h.serve()
}

// delete removes the consumer, and with it all that it knew: every message comes
// again.
func (h *natsHalf) delete(f *fault) {
	ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
	defer cancel()
	if err := h.js.DeleteConsumer(ctx, natsStream, deployment); err != nil {
		h.w.logf("couldn't delete the consumer: %v", err)
		return
	}
	h.w.saw(f.kind)
	time.Sleep(f.lasts)
	h.setUp()
}

// heal has nothing to mend: every fault ended by itself, but a consumer whose deletion
// was carried out without an answer.
func (h *natsHalf) heal() { h.setUp() }

func (h *natsHalf) handouts(scheduled int) int { return scheduled }
