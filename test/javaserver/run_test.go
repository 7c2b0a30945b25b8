package javaserver

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func TestKeepLeavesNothingHalf(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("go.mod", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("half way")
	if _, err := Keep(t.Context(), "thing", []byte("1"), func(_ context.Context, dir string) error {
		return errors.Join(broken, os.WriteFile(filepath.Join(dir, "one"), nil, 0o600))
	}); !errors.Is(err, broken) {
		t.Fatalf("got %v, want that it broke", err)
	}
	left, err := filepath.Glob(".tools/*")
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Fatalf("%q is left (%v), want the lock alone", left, err)
	}
	filled := 0
	for range 2 {
		dir, err := Keep(t.Context(), "thing", []byte("1"), func(_ context.Context, dir string) error {
			filled++
			return os.WriteFile(filepath.Join(dir, "one"), nil, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "one")); err != nil {
			t.Fatal(err)
		}
	}
	if filled != 1 {
		t.Fatalf("filled %d times, want once", filled)
	}
}

func TestReservedPortsAreOurs(t *testing.T) {
	r, err := Reserve(2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Free()
	for _, port := range r.Ports {
		if ok, err := Holds(os.Getpid(), port); err != nil || !ok {
			t.Errorf("port %d is not ours (%v)", port, err)
		}
	}
	r.Free()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.Ports[0]})
	if err != nil {
		t.Fatalf("a freed port cannot be had: %v", err)
	}
	l.Close()
}

func TestChildEndsWhenTold(t *testing.T) {
	if _, err := exec.LookPath("sleep"); err != nil {
		t.Skip(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	c, err := Spawn(exec.Command("sleep", "600"), log)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := c.Terminate(time.Minute); err != nil { // thaws it
		t.Fatal(err)
	}
	if c.Running() || c.State().Success() {
		t.Errorf("running %v, state %v", c.Running(), c.State())
	}
}
