//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// manyFiles lets the real program deliver very many tiny files as a job that is kept.
func (j *jobsBench) manyFiles() (bool, error) {
	tree, err := j.writeTiny()
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(tree) }() // a temporary directory left over is nobody's loss
	bin, err := program(j.dir)
	if err != nil {
		return false, err
	}
	cfg := filepath.Join(j.dir, "tiny.yaml")
	text := fmt.Sprintf("source:\n  file:\n    key: [{constant: {project: bench, logstore: tiny, config: c}}]\ndead_letter: none\nroutes:\n  - name: all\n    flushers:\n      - {type: blackhole}\n"+
		"limits: {in_flight: %d, work: %d}\n", jobsInFlight, jobsWork)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		return false, err
	}
	cmd := exec.Command(bin, "backfill", "-c", cfg, filepath.Join(tree, "*", "*.jsonl"), "--job", "tiny", "--state", filepath.Join(j.dir, "jobs"), "--json")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	peak, took, err := peakOf(cmd)
	if err != nil {
		return false, err
	}
	var r struct {
		Slices, Messages int64
		Complete         bool
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return false, err
	}
	if !r.Complete || r.Slices != int64(j.tiny) || r.Messages != int64(j.tiny) {
		return false, fmt.Errorf("the job reports %+v of %d files", r, j.tiny)
	}
	const bound = jobsInFlight + jobsWork + jobsAllowance
	return say("many files", peak <= bound, fmt.Sprintf("at most %d MiB", bound/mib),
		"peak RSS %d MiB with %d files in the glob, %d files a second", peak/mib, j.tiny, int64(float64(j.tiny)/took.Seconds()))
}

// peakOf runs a command to its end and reads its memory meanwhile. The kernel's mark
// only grows, so the last look is short of the peak by what comes within 20 ms.
func peakOf(cmd *exec.Cmd) (peak int64, took time.Duration, err error) {
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case err := <-ended:
			tick.Stop()
			if peak == 0 {
				err = errors.Join(err, errors.New("its memory was never seen"))
			}
			return peak, time.Since(began), err
		case <-tick.C:
			if n, err := processMemory(strconv.Itoa(cmd.Process.Pid), "VmHWM:"); err == nil { // else it is about to end
				peak = max(peak, n)
			}
		}
	}
}
