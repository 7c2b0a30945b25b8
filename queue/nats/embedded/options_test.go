package embedded

import (
	"testing"
	"time"
)

// Whether a confirmed publish is on the disk cannot be seen without a loss of
// power; what the server was told can.
func TestSyncReachesTheServer(t *testing.T) {
	t.Parallel()
	for sync, want := range map[string]bool{"always": true, "interval": false} {
		c := DefaultConfig()
		c.Dir, c.Listen, c.Sync = t.TempDir(), "127.0.0.1:0", sync
		s, err := Start(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		js := s.srv.JetStreamConfig()
		if js.SyncAlways != want || js.SyncInterval != 2*time.Second {
			t.Errorf("sync %s: always %v, interval %v", sync, js.SyncAlways, js.SyncInterval)
		}
		s.Close()
	}
}
