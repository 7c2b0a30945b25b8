package javaserver

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// tieToParent lets the child end with this process, also when that panics or is
// killed, and keeps a terminal's signals from it.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// stands says whether no thread of a process runs: a signal is taken by one of them,
// and the others stop when they meet it.
func stands(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it ended
		}
		if _, state, ok := strings.Cut(string(stat), ") "); err != nil || !ok || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(threads) > 0
}

// Holds says whether the process listens on the port of loopback.
func Holds(pid, port int) (bool, error) {
	inodes, err := listening(port)
	if err != nil {
		return false, err
	}
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(fds)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't read what process %d has open: %w", pid, err)
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && inodes[target] {
			return true, nil
		}
	}
	return false, nil
}

// listening finds the sockets that listen on a port, as links name them. The
// layout of /proc/net/tcp is that of proc(5): local address, remote address,
// state (0A listens), and the inode as the tenth field.
func listening(port int) (map[string]bool, error) {
	found := make(map[string]bool)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't read who listens: %w", err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				found["socket:["+fields[9]+"]"] = true
			}
		}
		f.Close()
	}
	return found, nil
}
