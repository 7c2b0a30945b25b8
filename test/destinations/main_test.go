package destinations

import (
	"os"
	"testing"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"
)

// roleVariable makes a process of this test binary a server instead of a test.
const roleVariable = "FLUSHLINE_DESTINATION"

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVariable)]; ok {
		os.Exit(role())
	}
	os.Exit(leak.Check(kafkabroker.Main(m)))
}

// roles are the servers that the test binary can be.
var roles = map[string]func() int{
	"http": serveHTTP,
	"nats": serveNATS,
}
