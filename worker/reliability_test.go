package worker

import "testing"

// Of a destination that hangs now and then no group is to blame.
func TestHangsThatAreSeldomAreOfTheGroup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hung  int64  // batches, that which is judged among them
		taken uint64 // calls that succeeded
		want  bool
	}{
		{1, 0, true}, {1, 10, true}, {2, 50, false}, {2, 1000, true}, {11, 1000, false}, {11, 10000, true},
	} {
		e := &entry{}
		e.hung.Store(c.hung)
		e.taken.Store(c.taken)
		if got := e.seldomHangs(); got != c.want {
			t.Errorf("%d batches hung beside %d calls that succeeded: seldom %v, want %v", c.hung, c.taken, got, c.want)
		}
	}
}
