package steps

import (
	"testing"

	"pgregory.net/rapid"
)

// Steps that were skipped, and looks, are not counted.
func TestStepsAreCountedThatWereTaken(t *testing.T) {
	t.Parallel()
	s := Count(t)
	taken, looked := int64(0), 0
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(s.Of(map[string]func(*rapid.T){
			"go":    func(*rapid.T) { taken++ },
			"maybe": func(t *rapid.T) { t.Skip("not now") },
			"":      func(*rapid.T) { looked++ },
		}))
	})
	if n := s.n.Load(); n != taken || n == 0 || looked == 0 {
		t.Errorf("%d steps were counted, %d taken, %d looks", n, taken, looked)
	}
	s.Step()
	if n := s.n.Load(); n != taken+1 {
		t.Errorf("%d steps with one more, want %d", n, taken+1)
	}
}

func TestWhatATestSaysIsRead(t *testing.T) {
	t.Parallel()
	out := "=== RUN   TestA\n    machine.go:30: " + said(1234) + "\n--- PASS: TestA\n    machine.go:30: " + said(6) + "\n"
	if n := Read(out); n != 1240 {
		t.Errorf("read %d of\n%s", n, out)
	}
	if n := Read("--- PASS: TestA\n"); n != 0 {
		t.Errorf("a test that says nothing took %d steps", n)
	}
}
