package elasticsearch_test

import (
	"os"
	"testing"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/searchnode"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(searchnode.Main(m))) }
