//go:build unix

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// crashMatrix collects what the cells found.
type crashMatrix struct {
	whole   bool
	planned int // cells
	run     *proof.Run
	mu      sync.Mutex
	rows    []crashRow
}

// crashRow is what one cell found.
type crashRow struct {
	Point      string  `json:"point"`
	Queue      string  `json:"queue"`
	Action     string  `json:"action,omitempty"`
	Cannot     string  `json:"cannot,omitempty"` // why there is no such cell
	Fired      int     `json:"fired"`
	Confirmed  int     `json:"confirmed"` // logs, with each destination once
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"` // messages
	Bound      int     `json:"bound"`
	Recovery   float64 `json:"recovery_s"` // from the fault until something sent later arrives; of a job: until it has ended
	Settled    float64 `json:"settled_s"`  // from the fault until everything is acknowledged
	Failed     bool    `json:"failed"`
}

func (m *crashMatrix) begin() {
	command := "make faults"
	if m.whole {
		command = "make crash"
	}
	m.run = proof.Begin("crash", "The program is killed, told to end, frozen, delayed, made to fail and to panic at each named step with each queue that has it: nothing is lost, and no more comes twice than is promised.", command)
}

func (m *crashMatrix) add(r crashRow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, r)
}

// report prints the table, and writes it beside FLUSHLINE_CRASH_REPORT as text and
// JSON if that is set.
func (m *crashMatrix) report(t *testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortStableFunc(m.rows, func(a, b crashRow) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Point, b.Point), cmp.Compare(a.Action, b.Action))
	})
	table := crashTable(m.rows)
	t.Logf("\n%s", table)
	m.keep(t)
	path := os.Getenv("FLUSHLINE_CRASH_REPORT")
	if path == "" {
		return
	}
	value, err := json.MarshalIndent(m.rows, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{".txt": []byte(table), ".json": append(value, '\n')} {
		if err := os.WriteFile(path+name, content, 0o600); err != nil {
			t.Error(err)
		}
	}
}

// crashFaults are the actions for readers.
var crashFaults = map[string]string{
	kill: "SIGKILL at a step", term: "SIGTERM at a step", stop: "SIGSTOP at a step, SIGCONT when the queue has given up",
	fail: "step that fails", sleep: "step that lasts long", panik: "step that panics",
}

// keep makes a run of what the cells found.
func (m *crashMatrix) keep(t *testing.T) {
	t.Helper()
	var cells, failed, lost, cannot int
	var most float64
	recovery := map[string][]time.Duration{}
	for _, r := range m.rows {
		if r.Cannot != "" {
			cannot++
			continue
		}
		cells++
		lost += r.Lost
		if r.Failed {
			failed++
		}
		m.run.Fault(crashFaults[r.Action], r.Fired)
		if r.Bound > 0 {
			most = max(most, float64(r.Duplicates)/float64(r.Bound))
		} else if r.Duplicates > 0 {
			most = max(most, 2) // none may
		}
		if r.Action == kill {
			recovery[r.Queue] = append(recovery[r.Queue], time.Duration(r.Recovery*float64(time.Second)))
		}
	}
	m.run.AtLeast("cells that ran", float64(cells), float64(m.planned), "")
	m.run.AtMost("cells that failed", float64(failed), 0, "")
	m.run.AtMost("lost", float64(lost), 0, "logs")
	m.run.AtMost("came twice, of what may, in the worst cell", most, 1, "")
	for _, queue := range slices.Sorted(maps.Keys(recovery)) {
		untimed(m.run, "recovery after a kill on "+queue, recovery[queue])
		m.run.Value("recovery after a kill on "+queue+", longest", quantile(recovery[queue], 1), "s")
	}
	m.run.Note("%d further cells cannot occur: the step does not exist on that queue.", cannot)
	m.run.End(t)
}

func crashTable(rows []crashRow) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "queue\tpoint\taction\tfired\tconfirmed\tlost\tduplicates\tbound\trecovery\tsettled\t")
	var cells, fired, lost int
	for _, r := range rows {
		if r.Cannot != "" {
			fmt.Fprintf(w, "%s\t%s\tcannot occur: %s\n", r.Queue, r.Point, r.Cannot)
			continue
		}
		verdict := ""
		if r.Failed {
			verdict = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\t%s\n",
			r.Queue, r.Point, r.Action, r.Fired, r.Confirmed, r.Lost, r.Duplicates, r.Bound, r.Recovery, r.Settled, verdict)
		cells++
		fired += r.Fired
		lost += r.Lost
	}
	_ = w.Flush() // into memory
	fmt.Fprintf(&b, "%d cells, %d faults fired, %d logs lost\n", cells, fired, lost)
	return b.String()
}
