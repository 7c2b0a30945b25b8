// Package leak sees to it that tests leave no goroutine behind. Each package that has
// tests ends with it:
//
//	func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }
package leak

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/goleak"
)

// patience is for goroutines that are about to end, on a machine that is busy.
const patience = 10 * time.Second

// Check turns the exit code of tests that passed into 1 if goroutines are left, and
// says on the standard error which. It waits ten seconds for those that are about to
// end.
func Check(code int) int {
	if code != 0 {
		return code // a test that failed may have left anything
	}
	err := goleak.Find()
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); {
		err = goleak.Find() // it waits for some hundred milliseconds itself
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests passed and left goroutines behind:", err)
		return 1
	}
	return 0
}
