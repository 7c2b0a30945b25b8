package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// requeue is the flusher of --to-queue: it puts each LogGroup into a queue, its bytes
// untouched, with its key and the id it has had from the start.
type requeue struct {
	to   *publisher
	pack packer
}

const requeueName = "queue"

// requeueRoutes are the same routes, each with the queue as its only flusher, and one
// for every other key.
func requeueRoutes(to *publisher, of []worker.Route) []worker.Route {
	pack := packer{limit: to.maxPayload, larger: to.larger, subject: to.subject, keyed: to.keyed}
	kind := flushers.Kind{
		Name: requeueName, Summary: "Puts LogGroups into a queue.", Raw: true,
		New: func() flushers.Flusher { return &requeue{to: to, pack: pack} },
	}
	entries := []worker.Entry{{Name: requeueName, Kind: kind, New: kind.New}}
	rest := "others"
	var routes []worker.Route
	for i := range of {
		routes = append(routes, worker.Route{Name: of[i].Name, Match: of[i].Match, Flushers: entries})
		if of[i].Name == rest {
			rest = "others_of_all_routes"
		}
	}
	return append(routes, worker.Route{Name: rest, Flushers: entries})
}

func (r *requeue) Init(flushers.Context) error        { return nil }
func (r *requeue) Description() string                { return "Puts LogGroups into " + r.to.sink.Describe() + "." }
func (r *requeue) IsReady(string, string, int64) bool { return true }
func (r *requeue) SetUrgent(bool)                     {}
func (r *requeue) Stop() error                        { return nil }

// Flush is never called: the kind takes batches.
func (r *requeue) Flush(string, string, string, []*protocol.LogGroup) error {
	return errors.New("the queue takes raw batches")
}

// FlushBatch implements flushers.BatchFlusher. nil means that the broker confirmed
// every message.
func (r *requeue) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	key := protocol.Key{Project: b.Project, Logstore: b.Logstore, Config: b.Config}
	partial := &flushers.PartialError{Failed: map[int]error{}}
	var ms []queue.Message
	var of []int // the group of each message
	for i, raw := range b.Raw {
		packed, err := r.messages(key, raw, b.IDs[i])
		if err != nil {
			partial.Failed[i] = flushers.Permanent(err)
			continue
		}
		for range packed {
			of = append(of, i)
		}
		ms = append(ms, packed...)
	}
	if len(ms) > 0 {
		for k, err := range r.to.sink.Put(ctx, ms) {
			if err != nil {
				partial.Failed[of[k]] = err
			}
		}
	}
	if len(partial.Failed) == 0 {
		return nil
	}
	return partial
}

// messages is one, or several when the group is too large for one; then its parts
// have new ids.
func (r *requeue) messages(key protocol.Key, raw []byte, id protocol.ID) ([]queue.Message, error) {
	if len(raw) <= r.pack.limit-headerRoom {
		return []queue.Message{r.pack.message(key, raw, protocol.EncodingNone, &id)}, nil
	}
	g := new(protocol.LogGroup)
	if err := g.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("couldn't split a group that is too large for one message: %w", err)
	}
	return r.pack.pack(&parcel{key: key, group: g, id: &id, from: key.String()})
}

// openRequeue opens the way into the queue of --to-queue.
func (e *jobEnv) openRequeue(ctx context.Context) error {
	cfg, err := e.p.loadShown(e.opt.toQueue)
	if err != nil {
		return err
	}
	if cfg.Source.File != nil {
		return usage(fmt.Errorf("--to-queue %s: its source is files; name the configuration of a worker that reads a queue", e.opt.toQueue))
	}
	to, err := brokerOf(cfg).publisher(ctx, &publishOptions{config: e.opt.toQueue}, e.log)
	if err != nil {
		return atBroker(err, e.opt.toQueue)
	}
	e.q.into = to
	e.q.closing(to.close)
	return nil
}
