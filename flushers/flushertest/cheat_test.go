package flushertest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
)

// cheatVariable names the cheat that a process of these tests proves.
const cheatVariable = "FLUSHERTEST_CHEAT"

// cheat is a kind that breaks the contract in one way, the property that must
// fail for it, and what that failure says.
type cheat struct {
	name     string
	kind     flushers.Kind
	property string
	says     string
	store    func(*store) // what sort of store it needs; nil: the usual
}

// TestCheat is run by prove, in a process of its own.
func TestCheat(t *testing.T) {
	name := os.Getenv(cheatVariable)
	for _, c := range allCheats() {
		if c.name == name {
			flushertest.Run(t, c.kind, flushertest.Harness{Start: start(c.store)})
		}
	}
	for _, m := range misuses() {
		if m.name == name {
			flushertest.Run(t, bend(asIs), m.harness)
		}
	}
}

func TestEachCheatIsCaught(t *testing.T) {
	t.Parallel()
	caught := map[string]bool{}
	cheats := allCheats()
	outputs := proveAll(t, cheats)
	for i, c := range cheats {
		caught[c.property] = true
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			output := outputs[i]
			failed := regexp.MustCompile(`--- FAIL: TestCheat/` + regexp.QuoteMeta(strings.ReplaceAll(c.property, " ", "_")) + ` `)
			if !failed.MatchString(output) || !strings.Contains(output, c.says) {
				t.Errorf("a kind that %s is not caught by %q with %q:\n%s", c.name, c.property, c.says, output)
			}
		})
	}
	for _, p := range flushertest.Properties() {
		if !caught[p] {
			t.Errorf("no cheat fails %q: is it a property that can fail?", p)
		}
	}
}

// proveAll has processes look for one cheat each, and returns what they say. They
// wait more than they work.
func proveAll(t *testing.T, cheats []cheat) []string {
	t.Helper()
	outputs, limit := make([]string, len(cheats)), make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i := range cheats {
		wg.Go(func() {
			limit <- struct{}{}
			outputs[i] = prove(t, &cheats[i])
			<-limit
		})
	}
	wg.Wait()
	return outputs
}

// prove looks for the one property that the cheat breaks.
func prove(t *testing.T, c *cheat) string {
	self, err := os.Executable()
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.v", "-test.run=^TestCheat$/^"+regexp.QuoteMeta(c.property)+"$")
	cmd.Env = append(os.Environ(), cheatVariable+"="+c.name)
	output, err := cmd.CombinedOutput()
	return fmt.Sprintf("%s(the process ended with %v)", output, err)
}
