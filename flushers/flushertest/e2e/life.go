package e2e

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/flushline/flushline/internal/child"
)

// canStop: SIGTERM stops a worker in order.
const canStop = runtime.GOOS != "windows"

// patience bounds each wait for a worker whose destination is well.
const patience = time.Minute

// life is what happens to one worker.
type life func(*run)

// round is all that can happen, in no fixed order.
func (r *run) round() []life {
	r.Helper()
	lives := []life{(*run).dieAnyTime, (*run).dieAnyTime}
	for _, m := range []moment{beforeFlush, insideFlush, afterNil, afterTold, afterTold} {
		lives = append(lives, dieAt(m))
	}
	if r.to.Break != nil && r.to.Heal != nil {
		lives = append(lives, (*run).liveThroughTrouble)
	} else {
		r.Log("the destination is not broken: Target.Break and Target.Heal are missing")
	}
	if canStop {
		lives = append(lives, (*run).stopInOrder)
	}
	r.rng.Shuffle(len(lives), func(i, j int) { lives[i], lives[j] = lives[j], lives[i] })
	return lives
}

// worker is one worker's process.
type worker struct {
	*child.Process
	witness string
	acked   int // messages, before it began
}

// begin starts a worker and waits for its first Flush that returned nil.
func (r *run) begin(d death) *worker {
	r.Helper()
	r.lives++
	name := fmt.Sprintf("worker %d", r.lives)
	w := &worker{witness: filepath.Join(r.dir, fmt.Sprintf("witness%d", r.lives))}
	w.acked = r.queue.Settled(r).Acked
	k := &task{Args: []string{"run", "-c", r.config}, Witness: w.witness, Death: d}
	p, out := child.Start(r, name, k.command(r))
	go func() { _, _ = io.Copy(io.Discard, out) }()
	w.Process = p
	r.stores(w, 0, "after its start")
	return w
}

// stores waits until a worker has had more than so many Flushes that returned nil.
func (r *run) stores(w *worker, more int, when string) {
	r.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		switch t := r.testimony(w); {
		case t.flushes > more:
			return
		case !w.Running():
			if t = r.testimony(w); t.flushes > more {
				return
			}
			r.Fatalf("%s ended by itself with code %d", w.Name, w.ExitCode())
		case time.Now().After(deadline):
			r.Fatalf("%s stored nothing within %s %s; %d groups were in a Flush that failed", w.Name, patience, when, t.failed)
		}
	}
}

func (r *run) testimony(w *worker) testimony {
	r.Helper()
	t, err := readTestimony(w.witness)
	if err != nil {
		r.Fatal(err)
	}
	return t
}

// sometime is how long a worker lives once it flushes.
func (r *run) sometime() time.Duration {
	return 200*time.Millisecond + time.Duration(r.rng.IntN(800))*time.Millisecond
}

// dieAnyTime is kill -9 from outside.
func (r *run) dieAnyTime() {
	r.Helper()
	w := r.begin(death{})
	<-time.After(r.sometime())
	w.Kill()
	r.buried(w, "at a random time")
}

// old is how long a worker may live while groups of the plan are published.
const old = 10 * time.Second

// dieOld is kill -9 of a worker that has lived for long.
func (r *run) dieOld() {
	r.Helper()
	w := r.begin(death{})
	for end := time.Now().Add(old); time.Now().Before(end) && r.journal.Tried() < uint64(r.plan.Groups); {
		<-time.After(50 * time.Millisecond)
	}
	w.Kill()
	r.buried(w, "when it had lived for a while")
}

// dieAt is kill -9 at a moment of a Flush.
func dieAt(m moment) life {
	return func(r *run) {
		r.Helper()
		w := r.begin(death{Moment: m, After: r.sometime(), Part: r.rng.Float64()})
		select {
		case <-w.Ended():
		case <-time.After(patience):
			r.Fatalf("%s did not come to a Flush within %s", w.Name, patience)
		}
		r.buried(w, string(m))
	}
}

// buried takes down what a killed worker leaves behind.
func (r *run) buried(w *worker, when string) {
	r.Helper()
	if code := w.ExitCode(); canStop && code != -1 {
		r.Fatalf("%s ended by itself with code %d", w.Name, code)
	}
	at, t := r.queue.Settled(r), r.testimony(w)
	r.killed++
	r.failed += t.failed
	open := t.open + max(0, t.stored-(at.Acked-w.acked))
	r.open += open
	held := max(at.Held, open)
	r.held += held
	r.Logf("%s stored %d groups and was killed %s; %d messages were held", w.Name, t.stored, when, held)
}

// liveThroughTrouble breaks the destination under a worker and heals it.
func (r *run) liveThroughTrouble() {
	r.Helper()
	w := r.begin(death{})
	<-time.After(r.sometime())
	before := r.testimony(w)
	r.to.Break()
	r.outages++
	<-time.After(2 * time.Second)
	broken := r.testimony(w)
	r.to.Heal()
	r.stores(w, broken.flushes, "after Heal")
	r.Logf("%s had a broken destination for 2s: %d groups were in a Flush that failed, %d in one that returned nil",
		w.Name, broken.failed-before.failed, broken.stored-before.stored)
	<-time.After(r.sometime())
	w.Kill()
	r.buried(w, "some time after the destination healed")
}

// stopInOrder is SIGTERM under load.
func (r *run) stopInOrder() {
	r.Helper()
	w := r.begin(death{})
	<-time.After(r.sometime())
	r.terminate(w)
}

// terminate ends a worker: in order, where the system has signals for that.
func (r *run) terminate(w *worker) {
	r.Helper()
	if !canStop {
		w.Kill()
		return
	}
	code, took := w.Stop(r, drain+patience)
	if code != 0 {
		r.Errorf("%s was told to stop and ended with code %d after %s", w.Name, code, took.Round(time.Millisecond))
	}
	t := r.testimony(w)
	r.failed += t.failed
	r.Logf("%s stored %d groups and was stopped in order; that took %s", w.Name, t.stored, took.Round(time.Millisecond))
}

// drained lets a last worker do what is left.
func (r *run) drained() {
	r.Helper()
	w := r.begin(death{})
	for deadline := time.Now().Add(2 * patience); ; <-time.After(50 * time.Millisecond) {
		at, err := r.queue.Ask(r.Context())
		switch {
		case err != nil:
			r.Fatal(err)
		case at.Drained:
			r.terminate(w)
			return
		case !w.Running():
			r.Fatalf("%s ended by itself with code %d", w.Name, w.ExitCode())
		case time.Now().After(deadline):
			r.Fatalf("not all is acknowledged after %s: %d messages wait, %d are held", 2*patience, at.Waiting, at.Held)
		}
	}
}
