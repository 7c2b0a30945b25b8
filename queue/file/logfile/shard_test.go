package logfile

import (
	"fmt"
	"testing"
	"time"
)

// Every shard gets about its share of names in which the same text stands twice, as
// dates do, whatever the number of shards.
func TestShardsShareNamesThatRepeatThemselves(t *testing.T) {
	t.Parallel()
	var names []string
	for day := range 400 {
		d := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day).Format("2006-01-02")
		names = append(names, fmt.Sprintf("%s/app-%s.json.gz", d, d))
	}
	for _, shards := range []uint64{2, 3, 4, 8} {
		f := finder{shards: shards}
		count := make([]int, shards)
		for _, n := range names {
			s := f.slice(n, 0, 1, "")
			count[s.Shard]++
		}
		for i, n := range count {
			if fair := len(names) / int(shards); n < fair/2 || n > 2*fair {
				t.Errorf("of %d files shard %d of %d has %d: %v", len(names), i, shards, n, count)
			}
		}
	}
}
