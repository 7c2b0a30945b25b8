package configs

import (
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// payload is how the engine reads values. Decoding has checked the names.
func (s *Source) payload() worker.Payload {
	p := worker.Payload{Key: s.Key}
	p.Format, _ = protocol.ParseFormat(s.Decode.Format)
	p.Encoding, _ = protocol.ParseEncoding(s.Decode.Encoding)
	return p
}

// Worker is the engine's part of the configuration. The caller adds what a file
// cannot hold: Version, Host, Logger and the sink of the dead letters.
func (c *Config) Worker() worker.Config {
	w := worker.Config{
		Deployment: c.Source.Deployment(),
		Payload:    c.Source.payload(),
		Limits:     c.Limits.worker(),
		DeadLetter: worker.DeadLetter{StopAfter: c.DeadLetter.StopAfter},
		Drain:      c.Drain.Timeout,

		TapContents: c.Admin.Tap == TapContents,
	}
	for i := range c.Routes {
		w.Routes = append(w.Routes, c.Routes[i].worker())
	}
	return w
}

func (r *Route) worker() worker.Route {
	out := worker.Route{Name: r.Name, Match: worker.Match(r.Match), Strict: r.Strict}
	if r.Parks() {
		out.Park, out.ParkAfter = true, r.ParkAfter
	}
	for i := range r.Flushers {
		e := &r.Flushers[i]
		out.Flushers = append(out.Flushers, worker.Entry{
			Name: e.Name, Kind: e.Kind, New: e.New, Digest: e.digest,
			Batch:        worker.Batch{Groups: e.Batch.Groups, Bytes: int64(e.Batch.Bytes), Wait: e.Batch.Wait},
			Rate:         worker.Rate{Groups: e.Rate.Groups, Bytes: int64(e.Rate.Bytes)},
			RetryInitial: e.Retry.Initial, RetryMax: e.Retry.Max, FlushTimeout: e.FlushTimeout,
		})
	}
	return out
}

// New makes a flusher with the entry's options, decoded anew: instances share no
// memory. It may be called from several goroutines.
func (e *Entry) New() flushers.Flusher {
	f := e.Kind.New()
	option.DecodeAt(e.options, e.pos, e.path, defaultEntry(), f)
	return f
}
