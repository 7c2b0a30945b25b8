package ledger

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const balanced = `{"defects":0,"sources":[{"name":"s","parts":{"received":15,"flushed":5,"dead_lettered":{"permanent":1,"x":1},"parked":2,"skipped":{"a":3},"released":{"b":1},"in_flight":2}}],
"flushers":[{"route":"r","flusher":"f","parts":{"received":1,"flushed":0,"parked":0,"in_flight":1}}]}`

// polled asks a worker that gives these answers in turn, once each.
func polled(t *testing.T, answers ...string) (Scrapes, []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		i := int(n.Add(1)) - 1
		if i >= len(answers) {
			cancel() // the client sees its own end, not this answer
			<-req.Context().Done()
			return
		}
		if strings.HasPrefix(answers[i], "500") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if answers[i] == "cut" {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, answers[i])
	}))
	defer server.Close()
	var told []string
	s := &Scraper{Every: time.Millisecond, Broken: func(what string) { told = append(told, what) }}
	s.Poll(ctx, "w1", server.URL)
	return s.Seen(), told
}

func TestBalancedSnapshotsPass(t *testing.T) {
	t.Parallel()
	got, told := polled(t, "cut", balanced, balanced, balanced)
	if got.Snapshots != 3 || got.Equations != 6 || got.Unheard != 1 || got.Broken.Count != 0 || len(told) != 0 {
		t.Errorf("got %+v, told %q", got, told)
	}
}

func TestSnapshotsThatAreWrongAreTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"one is missing":        {strings.Replace(balanced, `"parked":2`, `"parked":1`, 1), "source s: received 15, accounted for 14"},
		"one is too many":       {strings.Replace(balanced, `"permanent":1`, `"permanent":2`, 1), "accounted for 16"},
		"a flusher's":           {strings.Replace(balanced, `"in_flight":1`, `"in_flight":0`, 1), "flusher r/f: received 1, accounted for 0"},
		"a negative that fits":  {strings.NewReplacer(`"parked":2`, `"parked":-1`, `"flushed":5`, `"flushed":8`).Replace(balanced), "accounted for 15"},
		"a defect":              {strings.Replace(balanced, `"defects":0`, `"defects":1`, 1), "defects"},
		"no word about defects": {strings.Replace(balanced, `"defects":0,`, ``, 1), "defects"},
		"no equation":           {`{"defects":0,"sources":[{"name":"s"}]}`, "source s: it has no equation"},
		"an error":              {"500 " + balanced, "answered 500"},
		"no JSON":               {"hello", "answered 200"},
	} {
		got, told := polled(t, balanced, c[0], balanced)
		if got.Broken.Count != 1 || len(told) != 1 || !strings.HasPrefix(told[0], "w1") || !strings.Contains(told[0], c[1]) {
			t.Errorf("%s: got %+v, told %q", name, got, told)
		}
	}
}

func TestAReportIsKeptOnlyIfAllIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, "a.jsonl", all(b.lines))
	good, _ := b.judge(t, nil)
	bad := *good
	bad.Lost.add("1-0")
	unbalanced := Scrapes{Snapshots: 9}
	unbalanced.Broken.add("w1: source s")
	for name, c := range map[string]struct {
		r    Report
		kept bool
		says string
	}{
		"good":            {Report{"T", map[string]*Verdict{"file": good}, Scrapes{Snapshots: 9}}, true, "workers: 9 snapshots with 0 equations, 0 requests not answered; wrong 0\n"},
		"one lost":        {Report{"T", map[string]*Verdict{"a": good, "b": &bad}, Scrapes{}}, false, "b:\n  confirmed 15, unknown 3, found 18\n  lost 1: 1-0\n"},
		"unbalanced":      {Report{"T", map[string]*Verdict{"a": good}, unbalanced}, false, "wrong 1: w1: source s\n"},
		"no destinations": {Report{"T", nil, Scrapes{}}, false, "T\n"},
	} {
		var text, data strings.Builder
		if err := c.r.Write(&text); err != nil {
			t.Fatal(err)
		}
		if err := c.r.WriteJSON(&data); err != nil {
			t.Fatal(err)
		}
		if c.r.Kept() != c.kept || !strings.Contains(text.String(), c.says) || !strings.Contains(data.String(), `"snapshots"`) {
			t.Errorf("%s: kept %t\n%s%s", name, c.r.Kept(), text.String(), data.String())
		}
	}
}
