package flushertest

import (
	"time"
)

func callsEndInTime(b *bench) {
	for _, way := range []string{"its timeout passed", "its runtime context ended"} {
		l := b.begin()
		b.must(l, b.group(1))
		b.to.hang()
		s := b.group(1)
		a := attempt{timeout: 500 * time.Millisecond}
		if way != "its timeout passed" {
			a.timeout = flushLimit
			stop := time.AfterFunc(a.timeout/40, l.cancel)
			defer stop.Stop()
		}
		began := time.Now()
		err := b.flush(l, a, s)
		if took := time.Since(began); took > 500*time.Millisecond+flushGrace+busyMachine {
			b.Errorf("Flush has returned %s after %s, want at most %s later", took-500*time.Millisecond, way, flushGrace)
		}
		b.triesAgain(way+" while the destination hung", err)
		b.asksQuickly(l, "while the destination hangs")
		l.setUrgent(false)
		if err := l.stop(); err != nil {
			b.Logf("Stop while the destination hangs: %v", err)
		}
		b.to.Heal()
		if err == nil {
			b.nowStored("Flush returned nil while the destination hung", false, s)
		}
		b.recovers(s)
	}
}
