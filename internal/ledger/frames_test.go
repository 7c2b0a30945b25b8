package ledger

import (
	"bytes"
	"testing"
	"time"

	"github.com/flushline/flushline/protocol"
)

// framed is the same groups as setup's, as a file flusher frames them.
func framed(t *testing.T, groups uint64, wrongKey bool) []byte {
	t.Helper()
	load := Load{Run: "r1", Keys: Keys(3, "shop", "bank"), Logs: 3, Bytes: 20, Start: time.Unix(1_700_000_000, 0)}
	var out []byte
	for n := range groups {
		data, err := load.group(n).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		key := load.key(n)
		if wrongKey && n == 1 {
			key.Config = "other"
		}
		out = protocol.AppendFrame(out, protocol.ID{Group: uint32(n)}, key, data)
	}
	return out
}

func TestFramesAreRead(t *testing.T) {
	t.Parallel()
	whole := framed(t, 9, false)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-20] ^= 1
	tests := []struct {
		name                string
		file                string
		content             []byte
		lost, corrupt, torn int
	}{
		{"whole", "a.pb", whole, 0, 0, 0},
		{"compressed", "a.pb.zst", zstdFrames(t, whole[:100], whole[100:]), 0, 0, 0},
		{"torn", "a.pb", whole[:len(whole)-1], 0, 0, 1},
		{"a flipped bit in the unconfirmed group", "a.pb", flipped, 0, 1, 0},
		{"framed under another key", "a.pb", framed(t, 9, true), 2, 2, 0},
		{"a missing group", "a.pb", framed(t, 7, false), 2, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.write(t, tt.file, tt.content)
			v, tally := b.judge(t, nil)
			if v.Lost.Count != tt.lost || v.Corrupt.Count != tt.corrupt || v.Spurious.Count != 0 || tally.Torn != tt.torn {
				t.Errorf("got %+v\n%v", tally, v)
			}
		})
	}
}
