//go:build unix

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// What is added to package time of the program whose clock is set.
const wallSource = `package time

import "sync/atomic"

var wall atomic.Int64

// SetWall sets the wall clock by so many seconds from what the system says. Monotonic
// readings, timers and sleeps know nothing of it, as when a system's clock is set.
func SetWall(seconds int64) { wall.Store(seconds) }
`

// clocked is the program with a wall clock of its own. Only one process's clock may be
// set here, and neither a time namespace nor a library that is loaded before reaches
// what Go reads, so the program is built with another time.Now. Nothing else differs.
var clocked = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("couldn't find the standard library: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(dir, "time.go"))
	if err != nil {
		return "", fmt.Errorf("couldn't read package time: %w", err)
	}
	const read = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), read) != 1 {
		return "", errors.New("time.Now of this Go does not begin as the test expects: look at it and correct this test")
	}
	replaced := map[string]string{}
	for file, content := range map[string]string{
		"time.go": strings.Replace(string(source), read, read+"\tsec += wall.Load()\n", 1),
		"wall.go": wallSource,
	} {
		path := filepath.Join(bin, "overlay-"+file)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
		replaced[filepath.Join(dir, file)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	list := filepath.Join(bin, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(bin, "clocked")
	build := exec.Command("go", "build", "-buildvcs=false", "-overlay", list, "-tags", "clocked", "-o", path, "./program")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("couldn't build the program with a clock that can be set: %w\n%s", err, out)
	}
	return path, nil
})
