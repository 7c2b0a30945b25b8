package configs_test

import (
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flushline/flushline/configs"
)

var update = flag.Bool("update", false, "write what is reported now into testdata")

// TestBadFilesAreExplained compares the whole report of each bad file with the one
// that follows it in testdata/bad.txtar.
func TestBadFilesAreExplained(t *testing.T) {
	t.Setenv("FLUSHLINE_TEST_NUMBER", "hunter2")
	const archive = "testdata/bad.txtar"
	a, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	kinds := testKinds(t)
	for i := 0; i < len(a.Files); i += 2 {
		in, want := a.Files[i], &a.Files[i+1]
		t.Run(in.Name, func(t *testing.T) {
			if want.Name != in.Name+": report" {
				t.Fatalf("%s is followed by %s", in.Name, want.Name)
			}
			config, report := configs.Parse(in.Name, in.Data, kinds)
			if (config == nil) != report.Failed() {
				t.Errorf("config %v, failed %v", config != nil, report.Failed())
			}
			if len(report.Problems) == 0 {
				t.Error("nothing is reported")
			}
			got := strings.ReplaceAll(report.String(), "this is "+runtime.GOOS, "this is linux")
			if strings.Contains(got, "hunter2") {
				t.Errorf("the report shows a secret:\n%s", got)
			}
			if *update {
				want.Data = []byte(got)
				return
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if *update {
		if err := os.WriteFile(archive, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
