package job_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue/job"
)

// now is late in the evening of the 3rd where it is read, and the 4th in UTC.
var now = time.Date(2026, 3, 3, 22, 30, 0, 0, time.FixedZone("west", -5*3600))

func TestBoundsAreRead(t *testing.T) {
	t.Parallel()
	at := func(s string) job.Bound {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return job.Bound{At: -1, Time: when}
	}
	for text, want := range map[string]job.Bound{
		"earliest":                  {At: -1, Earliest: true},
		"end":                       {At: -1, End: true},
		"committed":                 {At: -1, Committed: true},
		"now":                       at("2026-03-04T03:30:00Z"),
		"-90m":                      at("2026-03-04T02:00:00Z"),
		"today":                     at("2026-03-04T00:00:00Z"),
		"yesterday":                 at("2026-03-03T00:00:00Z"),
		"2026-01-02T15:04:05+02:00": at("2026-01-02T13:04:05Z"),
		"0":                         {},
		"1500":                      {At: 1500},
		"0:100,1:250":               {At: -1, Places: map[job.Place]int64{{Partition: 0}: 100, {Partition: 1}: 250}},
		"logs[2]:7":                 {At: -1, Places: map[job.Place]int64{{Topic: "logs", Partition: 2}: 7}},
	} {
		got, err := job.ParseBound(text, now)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want.Text = text
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (- want, + got):\n%s", text, diff)
		}
	}
}

func TestWhatIsNoBoundIsExplained(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "is no bound",
		"tomorrow":               "is no bound",
		"2026-01-02":             "is no bound",
		"2026-01-02T15:04:05":    "is no bound",
		"2h":                     "write -2h",
		"-2":                     "is no age",
		"-":                      "is no age",
		"0:":                     "is no place",
		"0:1,0:2":                "named twice",
		"9999999999:1":           "is no place",
		"0:99999999999999999999": "is no place",
		"logs[0]:1,logs[0]:2":    "named twice",
	} {
		if _, err := job.ParseBound(text, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v, want %q", text, err, want)
		}
	}
}
