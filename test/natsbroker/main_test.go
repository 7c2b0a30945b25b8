package natsbroker_test

import (
	"os"
	"testing"

	"github.com/flushline/flushline/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }
