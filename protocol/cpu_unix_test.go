//go:build unix

package protocol_test

import (
	"syscall"
	"testing"
	"time"
)

// reportCPU adds the megabytes per CPU-second of the whole process, garbage
// collection included: what f costs on a machine that does other things, too.
func reportCPU(b *testing.B, bytes int, f func()) {
	before := cpuTime(b)
	f()
	if used := cpuTime(b) - before; used > 0 {
		b.ReportMetric(float64(bytes)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
