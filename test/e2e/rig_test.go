//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

const (
	ackWait = 6 * time.Second       // the shortest that is accepted
	slow    = 50 * time.Millisecond // what the slow destination takes for a request
)

// rig is a broker, three kinds of traffic with their destinations, and a ledger.
type rig struct {
	queued
	broker  *broker // of a rig on NATS
	run     string
	drain   time.Duration
	timeout time.Duration           // of a flush
	limits  string                  // beside the window
	blocked string                  // when_blocked of the usual routes, with what belongs to it
	first   func(pod string) string // routes before the usual ones, if any
	within  func(group uint64) bool // the groups that have to arrive; nil: all
	dir     string                  // of what workers write
	path    string                  // of the journal
	journal *ledger.Journal
	slow    *receiver // project slow
	both    *receiver // project both, beside a file
	scraper *ledger.Scraper
	polled  bool // some pod was
}

// queued is what differs between the queues.
type queued interface {
	source(pod string) string // the source of a pod's configuration file
	send(t *testing.T, load *ledger.Load) ledger.Send
	letters(t *testing.T) int64 // how many were dead-lettered
}

// newRig is a rig on a nats-server of its own.
func newRig(t *testing.T, sync bool) *rig {
	t.Helper()
	b := startBroker(t, sync)
	r := rigOn(t, b)
	r.broker = b
	return r
}

func rigOn(t *testing.T, q queued) *rig {
	t.Helper()
	const run = "r"
	r := &rig{queued: q, run: run, drain: 10 * time.Second, timeout: 8 * time.Second, blocked: "wait", first: func(string) string { return "" }, dir: t.TempDir(), path: filepath.Join(t.TempDir(), "journal")}
	r.slow, r.both = startReceiver(t, run, slow), startReceiver(t, run, slow/5)
	var err error
	if r.journal, err = ledger.OpenJournal(r.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.journal.Close() })
	r.scraper = &ledger.Scraper{Broken: func(what string) { t.Errorf("a snapshot is wrong: %s", what) }}
	return r
}

// load is traffic for all routes; the caller sets how much.
func (r *rig) load(keys int) ledger.Load {
	return ledger.Load{Run: r.run, Keys: ledger.Keys(keys, "waits", "slow", "both"), Logs: 2, Bytes: 200, Start: time.Now()}
}

// config is a worker's configuration: its name is in what it writes, so that
// workers on one machine do not share files.
func (r *rig) config(t *testing.T, name string, window int) string {
	t.Helper()
	return r.write(t, name, window, r.first(name)+fmt.Sprintf(`
  - name: waits
    match: {project: waits}
    when_blocked: %[7]s
    flushers:
      - {type: file, root: %[1]q, path: "waits/%[2]s/{project}/{logstore}.jsonl.gz", batch: {wait: 1s}, flush_timeout: %[5]s}
  - name: slow
    match: {project: slow}
    when_blocked: %[7]s
    flushers:
      - {type: http, url: %[3]q%[6]s, flush_timeout: %[5]s}
  - name: both
    match: {project: both}
    when_blocked: %[7]s
    flushers:
      - {type: file, name: file, root: %[1]q, path: "both/%[2]s/{project}/{logstore}.pb.zst", format: loggroup, flush_timeout: %[5]s}
      - {type: http, name: http, url: %[4]q, flush_timeout: %[5]s}
`, r.dir, name, r.slow.url, r.both.url, r.timeout, r.slow.more, r.blocked))
}

// write makes a configuration file with the given routes.
func (r *rig) write(t *testing.T, name string, window int, routes string) string {
	t.Helper()
	file := filepath.Join(r.dir, name+".yaml")
	content := fmt.Sprintf(`source:
  %s
routes:%sdrain: {timeout: %s}
limits: {window: %d%s}
admin: {listen: 127.0.0.1:0}
metrics: {listen: 127.0.0.1:0}
`, r.source(name), routes, r.drain, window, r.limits)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// setup makes stream, consumer and companions by the program's own command.
func (r *rig) setup(t *testing.T, config string) {
	t.Helper()
	out, err := exec.Command(bin+"/program", "setup", "-c", config).CombinedOutput()
	if err != nil {
		t.Fatalf("flushline setup: %v\n%s", err, out)
	}
}

// produce publishes until the load's groups are confirmed.
func (r *rig) produce(t *testing.T, load ledger.Load) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := ledger.ProduceTo(ctx, r.send(t, &load), load, r.journal); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("couldn't publish %d groups within 5 minutes", load.Groups)
	}
}

// producing publishes in the background until the returned function is called.
func (r *rig) producing(t *testing.T, load ledger.Load) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	send := r.send(t, &load)
	go func() { done <- ledger.ProduceTo(ctx, send, load, r.journal) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// judge compares what was confirmed so far with what each of the four destinations
// got. It returns the most duplicates that one of them has.
func (r *rig) judge(t *testing.T, want func(*ledger.Verdict) bool) int {
	t.Helper()
	var duplicates int
	for name, v := range r.verdicts(t) {
		if !want(v) {
			t.Errorf("%s did not get what it should", name)
		}
		duplicates = max(duplicates, v.Duplicates)
	}
	r.noDeadLetters(t)
	r.balanced(t)
	return duplicates
}

// balanced says how many snapshots of the pods held; that one did not has failed the
// test already.
func (r *rig) balanced(t *testing.T) {
	t.Helper()
	s := r.scraper.Seen()
	t.Logf("%d snapshots with %d equations, %d not answered", s.Snapshots, s.Equations, s.Unheard)
	if r.polled && s.Snapshots == 0 {
		t.Error("no snapshot of any worker was seen: nothing was shown")
	}
}

// verdicts are those of each destination, by its name.
func (r *rig) verdicts(t *testing.T) map[string]*ledger.Verdict {
	t.Helper()
	book := r.book(t)
	t.Logf("%d groups confirmed of %d tried", book.Confirmed(), len(book))
	all := make(map[string]*ledger.Verdict)
	for _, d := range []struct{ name, root, project string }{
		{"waits (file, a second in its batch)", r.dir + "/waits", "waits"},
		{"slow (http)", r.slow.dir, "slow"},
		{"both (file)", r.dir + "/both", "both"},
		{"both (http)", r.both.dir, "both"},
	} {
		all[d.name] = r.verdict(t, book, d.name, d.root, func(k protocol.Key) bool { return k.Project == d.project })
	}
	r.report(t, all)
	return all
}

func (r *rig) book(t *testing.T) ledger.Book {
	t.Helper()
	book, err := ledger.LoadBook(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range book {
		if r.within != nil && !r.within(uint64(n)) {
			book[n] = ledger.Entry{Key: book[n].Key} // has no log that could be tried: one that arrives is spurious
		}
	}
	return book
}

// judgeOne judges one destination with all that was confirmed so far for it.
func (r *rig) judgeOne(t *testing.T, name, root string, of ledger.Of, want func(*ledger.Verdict) bool) *ledger.Verdict {
	t.Helper()
	v := r.verdict(t, r.book(t), name, root, of)
	if !want(v) {
		t.Errorf("%s did not get what it should", name)
	}
	return v
}

func (r *rig) verdict(t *testing.T, book ledger.Book, name, root string, of ledger.Of) *ledger.Verdict {
	t.Helper()
	files := ledger.Files{Root: root, Run: r.run, Place: inItsFile}
	marks, err := ledger.LoadMarks(r.path)
	if err != nil {
		t.Fatal(err)
	}
	count := ledger.NewCount(book, of)
	count.Time(marks)
	tally, err := ledger.Read(files, count.See)
	if err != nil {
		t.Fatal(err)
	}
	verdict := count.Verdict()
	t.Logf("%s: %d files, %d torn\n%s", name, tally.Files, tally.Torn, verdict)
	return verdict
}

// inItsFile holds files named by the key to it.
func inItsFile(path string, k protocol.Key) bool {
	return !strings.Contains(path, "store") || strings.Contains(path, k.Project+"/"+k.Logstore)
}

func (r *rig) noDeadLetters(t *testing.T) {
	t.Helper()
	if n := r.letters(t); n != 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}

// pod is one running worker.
type pod struct {
	*process
	at map[string]string // addresses by listener: a log keeps its end only
}

func newPod(p *process) *pod { return &pod{p, map[string]string{}} }

// pod starts `run` of one of the two programs.
func (r *rig) pod(t *testing.T, program, name, config string) *pod {
	t.Helper()
	p, out := start(t, name, bin+"/"+program, "run", "-c", config)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	running := newPod(p)
	t.Cleanup(func() { running.explain(t) })
	r.scrape(t, running)
	return running
}

// explain has a pod say what it does when a test has failed and it runs: its status, and
// where each of its goroutines is.
func (p *pod) explain(t *testing.T) {
	if !t.Failed() || !p.running() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.said("admin")+"/status", nil)
	if err != nil {
		t.Log(err)
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		body, _ := io.ReadAll(resp.Body) // as much as there is
		resp.Body.Close()
		t.Logf("what %s did at the end:\n%s", p.name, body)
	}
	p.Signal(syscall.SIGQUIT)
	select {
	case <-p.Ended():
	case <-ctx.Done():
	}
}

// terminate is a clean stop: it must end with 0. How long it may take is the
// caller's to say.
func (p *pod) terminate(t *testing.T) time.Duration {
	t.Helper()
	code, took := p.stop(t, time.Minute)
	if code != 0 {
		t.Errorf("%s ended with code %d", p.name, code)
	}
	return took
}

// address is where a listener of the pod is, as its log says.
func (p *pod) address(t *testing.T, listener string) string {
	t.Helper()
	found := p.at[listener]
	if found != "" {
		return found
	}
	eventually(t, 20*time.Second, p.name+" says where its "+listener+" listens", func() bool {
		found = p.said(listener)
		return found != "" || !p.running()
	})
	if found == "" {
		t.Fatalf("%s ended before it listened", p.name)
	}
	p.at[listener] = found
	return found
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// status is the pod's snapshot; its equation must hold.
func (p *pod) status(t *testing.T) *worker.Status {
	t.Helper()
	code, body := get(t, "http://"+p.address(t, "admin")+"/status")
	var s worker.Status
	if err := json.Unmarshal(body, &s); code != http.StatusOK || err != nil {
		t.Fatalf("/status of %s: %d, %v\n%s", p.name, code, err, body)
	}
	for i := range s.Sources {
		if c := &s.Sources[i].Counts; !c.Balanced() {
			t.Errorf("the equation of %s does not hold: %+v", s.Sources[i].Name, *c)
		}
	}
	if s.Defects != 0 {
		t.Errorf("%s counted %d defects", p.name, s.Defects)
	}
	return &s
}

// full says that the pod holds its window of each strand, or so nearly that it fetches
// nothing more.
func (p *pod) full(t *testing.T, window int) bool {
	t.Helper()
	s := p.status(t)
	for i := range s.Strands {
		if s.Strands[i].Held < int64(window) && s.Strands[i].State != "window_full" {
			return false
		}
	}
	return len(s.Strands) > 0
}

// metric sums a metric of the pod over its labels.
func (p *pod) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, body := get(t, "http://"+p.address(t, "metrics")+"/metrics")
	var sum float64
	for line := range strings.Lines(string(body)) {
		metric, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if metric, _, _ = strings.Cut(metric, "{"); metric == name {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum += v
		}
	}
	return sum
}
