//go:build unix

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// crashMatrix collects what the cells found.
type crashMatrix struct {
	whole bool
	mu    sync.Mutex
	rows  []crashRow
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
