package file

import (
	"fmt"
	"sync"
	"testing"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

// BenchmarkFlush is one Flush of one small group by each of many lanes, to one
// file or to a file each; syncs dominate it.
func BenchmarkFlush(b *testing.B) {
	for _, path := range []string{"all.jsonl", "{logstore}.jsonl"} {
		for _, lanes := range []int{1, 1000} {
			b.Run(fmt.Sprintf("path=%s/lanes=%d", path, lanes), func(b *testing.B) {
				dir := b.TempDir()
				var p flushertest.Process
				d := &disk{}
				all := make([]*Flusher, lanes)
				for i := range all {
					all[i] = lane(b, &p, protocol.Key{Logstore: fmt.Sprint(i)}, func(f *Flusher) {
						at(dir, path)(f)
						f.wrap = d.wrap
					})
				}
				g := group(1, "a small log")
				for b.Loop() {
					var wg sync.WaitGroup
					for _, f := range all {
						wg.Go(func() {
							if err := flush(f, g); err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
				b.ReportMetric(float64(d.syncs.Load())/float64(b.N*lanes), "syncs/flush")
			})
		}
	}
}
