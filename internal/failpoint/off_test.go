//go:build !failpoint || !unix

package failpoint

import "testing"

// Without the tag nothing that the environment says has an effect.
func TestNothingHappensWithoutTheTag(t *testing.T) {
	t.Setenv("FLUSHLINE_FAILPOINT", "flush.before:1+:error,fetch.after:1:panic")
	Hit(FetchAfter)
	if err := Err(FlushBefore); err != nil || Enabled {
		t.Errorf("got %v, enabled %t", err, Enabled)
	}
}
