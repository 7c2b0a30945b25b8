package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/flushline/flushline/internal/proof"
)

// summarise prints a line for each run. It is an error if one failed.
func summarise(out io.Writer, runs []*proof.Run) error {
	if len(runs) == 0 {
		return errors.New("no run was kept")
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tTOOK\tFAULTS\tFIGURES")
	total, failed := 0, []string{}
	for _, r := range runs {
		fired := 0
		for _, n := range r.Faults {
			fired += n
		}
		total += fired
		var figures []string
		for _, f := range r.Figures {
			words := f.Of + " " + number(f.Value, f.Unit)
			if limit := bound(f); limit != "" {
				words += " (" + limit + ")"
			}
			figures = append(figures, words)
		}
		name := r.Name
		if r.Failed {
			name += " FAILED"
			failed = append(failed, r.Name)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, length(r.Seconds), number(float64(fired), ""), strings.Join(figures, ", "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s faults happened in %d runs\n", number(float64(total), ""), len(runs))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}
