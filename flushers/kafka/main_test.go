package kafka_test

import (
	"os"
	"testing"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(kafkabroker.Main(m))) }
