package cmd

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/worker"
)

func letter(from, value string) queue.Message {
	m := queue.Message{Value: []byte(value)}
	if from != "" {
		m.Headers = []queue.Header{{Key: queue.HeaderSource, Value: from}}
	}
	return m
}

func TestEachConsumersLettersGoToItsOwnCompanion(t *testing.T) {
	t.Parallel()
	a, b := &keepSink{}, &keepSink{failAt: 2}
	boxes := &letterBoxes{first: a, of: map[string]queue.Sink{"A/x": a, "B/x": b}}
	errs := boxes.Put(t.Context(), []queue.Message{
		letter("nats A/x 1", "a1"), letter("nats B/x 1", "b1"), letter("nats B/x 2", "b2"), letter("nats A/x 2", "a2"), letter("", "nowhere"),
	})
	values := func(s *keepSink) (out []string) {
		for i := range s.got {
			out = append(out, string(s.got[i].Value))
		}
		return out
	}
	if diff := cmp.Diff([][]string{{"a1", "a2", "nowhere"}, {"b1"}}, [][]string{values(a), values(b)}); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	for i, err := range errs {
		if (err != nil) != (i == 2) {
			t.Errorf("error %d = %v, want one at the third letter only", i, err)
		}
	}
	if errs := boxes.Put(t.Context(), []queue.Message{letter("nats A/x 3", "a3")}); errs != nil {
		t.Errorf("all stored: %v, want nil", errs)
	}
}

func TestTheLettersOfAJobGoToTheCompanionOfItsStream(t *testing.T) {
	t.Parallel()
	a, x, y := &keepSink{}, &keepSink{}, &keepSink{}
	boxes := &letterBoxes{first: a, of: map[string]queue.Sink{"A/one": a, "B/x": x, "B/y": y}}
	boxes.Put(t.Context(), []queue.Message{
		letter("replay B 1-5000 17", "of the stream"), letter("replay B/y 1-5000 17", "of the consumer"), letter("replay C 1-2 1", "of no stream we know"),
	})
	if len(a.got) != 1 || len(x.got) != 1 || len(y.got) != 1 {
		t.Errorf("%d, %d and %d letters, want one in each companion", len(a.got), len(x.got), len(y.got))
	}
}

func TestRecommendedCommandsNameTheFile(t *testing.T) {
	t.Parallel()
	missing := &queue.MissingError{What: "stream", Name: "LOGS"}
	err := namingFile(unavailable(missing), "prod/shop.yaml")
	if !strings.Contains(err.Error(), "flushline setup -c prod/shop.yaml") {
		t.Errorf("error = %q", err)
	}
	var found *queue.MissingError
	if !errors.As(err, &found) {
		t.Error("the error's kind is lost")
	}
	if got := namingFile(missing, "").Error(); got != missing.Error() {
		t.Errorf("a command without a file recommends %q", got)
	}
	if namingFile(nil, "x") != nil {
		t.Error("no error became one")
	}
}

func TestPasswordsInURLsAreNotShown(t *testing.T) {
	t.Parallel()
	got := nats.Redact("nats://me:s3cret@a:4222, nats://b:4222,tls://t0ken@c:1,me:s3cret@d:2, e:3")
	if want := "nats://***@a:4222,nats://b:4222,tls://***@c:1,nats://***@d:2,e:3"; got != want {
		t.Errorf("nats.Redact = %q, want %q", got, want)
	}
}

func TestEveryRouteGetsTrafficThatItMatches(t *testing.T) {
	t.Parallel()
	keys := keysFor([]configs.Route{
		{Match: configs.Match{Project: "sh?p", Logstore: "web-*", Config: "*"}},
		{Match: configs.Match{Project: "*", Logstore: "*", Config: "fixed"}},
	})
	var first, second int
	seen := map[protocol.Key]bool{}
	for _, k := range keys {
		if seen[k] {
			t.Errorf("%v stands twice", k)
		}
		seen[k] = true
		switch {
		case k.Project == "shxp" && strings.HasPrefix(k.Logstore, "web-") && k.Config != "":
			first++
		case k.Config == "fixed" && k.Project != "" && k.Logstore != "":
			second++
		default:
			t.Errorf("%v matches no route", k)
		}
	}
	if first == 0 || second == 0 {
		t.Errorf("%d keys for the first route, %d for the second", first, second)
	}
	for _, k := range keysFor([]configs.Route{{Match: configs.Match{Project: "shop", Logstore: "*", Config: "*"}}}) {
		if !slices.Contains(demoKeys, k) {
			t.Errorf("%v was made up although the shop has keys of its own", k)
		}
	}
}

func TestAGroupCountsAsFlushedWhenAllOfItsFlushersHaveIt(t *testing.T) {
	t.Parallel()
	entry := func(route string, n int64) worker.FlusherStatus {
		return worker.FlusherStatus{Route: route, Counts: worker.Counts{Flushed: n}}
	}
	st := &worker.Status{Flushers: []worker.FlusherStatus{entry("a", 7), entry("a", 5), entry("b", 3)}}
	if got := flushedGroups(st); got != 8 {
		t.Errorf("flushedGroups = %d, want 8", got)
	}
}

func TestSignalsStopThenHurryThenLeave(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot signal itself")
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan string, 2)
	leave := steps(t.Context(), func() { came <- "stop" }, func() { came <- "hurry" })
	for _, want := range []string{"stop", "hurry"} {
		if err := self.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-came:
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s", want)
		}
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-leave:
		if code := report(new(strings.Builder), err); code != exitInterrupted {
			t.Errorf("exit code %d, want %d", code, exitInterrupted)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the third signal did nothing")
	}
}

func TestRunsEndBecomesAnExitCode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		err     error
		defects int64
		want    int
	}{
		{"in order", nil, 0, exitDone},
		{"drain deadline", worker.ErrDrainDeadline, 0, exitTryAgain},
		{"a source that cannot go on", errors.New("gone"), 0, exitUnavailable},
		{"a second settlement", nil, 1, exitDefect},
		{"a panic", &coded{exitDefect, errors.New("panic")}, 0, exitDefect},
	} {
		if got := report(new(strings.Builder), ended(tc.err, tc.defects)); got != tc.want {
			t.Errorf("%s: exit code %d, want %d", tc.name, got, tc.want)
		}
	}
}
