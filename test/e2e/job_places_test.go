//go:build unix

package e2e

import (
	"sync"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// places is where the queue put each group, by its number.
type places struct {
	mu sync.Mutex
	at map[uint64]place
}

type place struct {
	partition int32
	position  int64
}

func (p *places) put(load *ledger.Load, body []byte, at place) {
	n := groupOf(load, body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[uint64]place{}
	}
	p.at[n] = at
}

// of is where a group is; what was never confirmed has no place.
func (p *places) of(group uint64) (place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.at[group]
	return at, ok
}

// groupOf is the number of a group that the load made.
func groupOf(load *ledger.Load, body []byte) uint64 {
	var g protocol.LogGroup
	if err := g.Unmarshal(body); err != nil {
		panic(err) // it was marshalled a moment ago
	}
	for _, c := range g.Logs[0].Contents {
		if c.Key == ledger.FieldID {
			id, _, _, _ := load.Sent(c.Value)
			return id.Group
		}
	}
	panic("a group without an id")
}
