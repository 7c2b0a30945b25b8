package kafka

import (
	"testing"

	"github.com/flushline/flushline/queue"
)

// A sweep hears of each gate that opens while it runs. Between sweeps there is nobody who
// found one shut, and ten thousand lanes that open leave nothing behind.
func TestOnlyASweepHearsWhichGateOpened(t *testing.T) {
	t.Parallel()
	s := &parkedStrand{turn: make(chan struct{}, 1), looked: make(chan struct{}, 1)}
	lane := queue.Lane{Route: "r", Flusher: "f", Project: "p", Logstore: "l", Config: "c"}
	s.look(lane)
	if _, lanes := s.heard(); len(lanes) > 0 || s.opened != nil {
		t.Errorf("without a sweep %v are known to have opened", lanes)
	}
	if len(s.turn) == 0 || len(s.looked) == 0 {
		t.Error("who rests is not woken")
	}
	s.begin(&serving{plan: newSweep[*parkedRecord](1, false)})
	s.look(lane)
	if _, lanes := s.heard(); len(lanes) != 1 || lanes[0] != lane {
		t.Errorf("the sweep hears that %v opened", lanes)
	}
	if _, lanes := s.heard(); len(lanes) > 0 {
		t.Errorf("the sweep hears again that %v opened", lanes)
	}
}
