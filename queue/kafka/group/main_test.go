package group

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) {
	code := kafkabroker.Main(m)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
