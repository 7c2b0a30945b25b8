package nats

import (
	"testing"

	"go.uber.org/zap"
)

// bare is a strand that can be confirmed and holds nothing.
func bare() *strand {
	s := &strand{
		conn: &Conn{line: newLine()}, book: newBook(), log: zap.NewNop(), end: func(string) {},
		turn: make(chan struct{}, 1), kick: make(chan struct{}, 1), mind: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	s.numbers.Store(&numbers{})
	return s
}

// A question is on its way when something is heard that puts the consumer in doubt: its
// answer, which is of before, lets nothing be settled. Nor does one that came over
// another connection, or for a strand that is lost.
func TestAnAnswerOfBeforeTheDoubtConfirmsNothing(t *testing.T) {
	t.Parallel()
	s := bare()
	s.conn.line.live.Store(1)
	asked := s.doubts
	s.shut()
	if s.confirm(t.Context(), 1, asked); s.open() {
		t.Error("an answer of before the doubt confirms")
	}
	if s.confirm(t.Context(), 1, s.doubts); !s.open() {
		t.Error("the next answer does not confirm")
	}
	s.conn.line.live.Store(2)
	if s.open() {
		t.Error("what was confirmed on one connection is confirmed on the next")
	}
	if s.confirm(t.Context(), 1, s.doubts); s.open() {
		t.Error("an answer of the connection before confirms")
	}
	if s.confirm(t.Context(), 2, s.doubts); !s.open() {
		t.Error("an answer of this connection does not confirm")
	}
	s.lose("made anew")
	if s.confirm(t.Context(), 2, s.doubts); s.open() {
		t.Error("a strand that is lost was confirmed")
	}
}
