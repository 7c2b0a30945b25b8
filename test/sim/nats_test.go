package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// TestNATS simulates deployments on a real nats-server.
//
// FLUSHLINE_SIM_SEEDS says how many, FLUSHLINE_SIM_SEED repeats one.
func TestNATS(t *testing.T) {
	s := simulation{
		name: "nats", test: t.Name(),
		shows: "Simulated deployments on NATS JetStream, with seeded faults of network, server, workers and destinations, lose nothing, acknowledge nothing early and settle in time.",
		half:  newNATSHalf,
		musts: []string{
			natsCut, natsCutMidFrame, natsDeafServer, natsDeafWorker, natsHole, natsSlow, natsRestart, natsCrash, natsDelete,
		},
	}
	s.run(t)
}

// natsHalf is a server in this process and everybody's way to it.
type natsHalf struct {
	w    *world
	dir  string
	opts server.Options
	cfg  *nats.Config

	crashing chan struct{} // held by whoever takes an image of the files
	images   []string

	network network
	admin   *nats.Conn
	js      jetstream.JetStream
}

func newNATSHalf(t *testing.T) half {
	ats.Register() // its ticker must not be of the bubble
	t.Cleanup(ats.Unregister)
	dir := t.TempDir()
	return &natsHalf{dir: dir, opts: server.Options{
		ServerName: "sim", DontListen: true, JetStream: true, StoreDir: filepath.Join(dir, "first"), NoLog: true, NoSigs: true,
	}}
}

func (h *natsHalf) patience() time.Duration { return ackWait }

// ackWait is the shortest there is, so that the world sees it pass often.
const ackWait = nats.MinAckWait

const (
	natsStream  = "LOGS"
	natsLetters = natsStream + "_" + deployment + "_DLQ"
	adminLimit  = 5 * time.Second
)

func (h *natsHalf) begin(w *world) {
	h.w, h.crashing = w, make(chan struct{}, 1)
	for _, f := range w.faults {
		// What a server confirmed and had not written is its loss, not ours.
		h.opts.SyncAlways = h.opts.SyncAlways || f.kind == natsCrash
	}
	c := nats.DefaultConfig()
	c.Stream, c.Durable, c.Subjects = natsStream, deployment, []string{"logs.>"}
	c.AckWait, c.ConnectTimeout = ackWait, adminLimit
	c.MaxPods = len(w.slots)
	h.cfg = &c
	h.serve()
	conn, err := nats.Connect(context.Background(), h.cfg, nil, natsgo.InProcessServer(h.network.door(nil)))
	if err != nil {
		w.Fatal(err)
	}
	h.admin = conn
	if h.js, err = conn.JetStream(); err != nil {
		w.Fatal(err)
	}
	h.setUp()
}

func (h *natsHalf) serve() {
	opts := h.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		h.w.Fatal(err)
	}
	srv.Start()
	h.network.set(srv)
}

// setUp makes what is not there: the stream, the consumer, the dead letter queue.
func (h *natsHalf) setUp() {
	for h.w.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
		_, err := nats.Setup(ctx, h.admin, h.cfg, nats.SetupOptions{DeadLetters: true})
		cancel()
		if err == nil {
			return
		}
		h.w.logf("setup: %v", err)
		h.w.nap(time.Second)
	}
}

func (h *natsHalf) connect(p *pod) (*connection, error) {
	door := h.network.door(p)
	opt := nats.Options{
		Window: p.w.config.Limits.Window,
		NATS:   []natsgo.Option{natsgo.InProcessServer(door)},
	}
	ctx := context.Background()
	src, err := nats.Open(ctx, h.cfg, opt)
	if err != nil {
		door.shut()
		return nil, err
	}
	sink, err := nats.DeadLetters(ctx, src.Conn(), h.cfg, h.cfg.List()[0])
	if err != nil {
		src.Close()
		door.shut()
		return nil, err
	}
	return &connection{source: src, sink: sink, close: func() { src.Close(); door.shut() }}, nil
}

func (h *natsHalf) cutOff(p *pod) { h.network.of(p).shut() }

func (h *natsHalf) publish(m *message) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
	defer cancel()
	out := &natsgo.Msg{Subject: "logs." + fmt.Sprint(m.number), Data: m.Value, Header: natsgo.Header{}}
	for _, one := range m.Headers {
		out.Header.Add(one.Key, one.Value)
	}
	ack, err := h.js.PublishMsg(ctx, out)
	if err != nil {
		return "", err
	}
	return place(0, int64(ack.Sequence)), nil
}

// idle says whether the server has nothing to deliver and waits for nobody.
func (h *natsHalf) idle() (bool, string) {
	ctx, cancel := context.WithTimeout(context.Background(), adminLimit)
	defer cancel()
	c, err := h.js.Consumer(ctx, natsStream, deployment)
	if err != nil {
		return false, err.Error()
	}
	i := c.CachedInfo()
	return i.NumPending == 0 && i.NumAckPending == 0, fmt.Sprintf("%d pending, %d not acknowledged", i.NumPending, i.NumAckPending)
}

func (h *natsHalf) stored() ([]queue.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := h.js.Stream(ctx, natsLetters)
	if err != nil {
		return nil, err
	}
	st := s.CachedInfo().State
	var all []queue.Message
	for seq := st.FirstSeq; seq <= st.LastSeq && st.Msgs > 0; seq++ {
		got, err := s.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		m := queue.Message{Value: got.Data}
		for key, values := range got.Header {
			m.Headers = append(m.Headers, queue.Header{Key: key, Value: values[0]})
		}
		all = append(all, m)
	}
	return all, nil
}

func (h *natsHalf) end() {
	h.admin.Close()
	srv := h.network.set(nil)
	srv.Shutdown()
	srv.WaitForShutdown()
}
