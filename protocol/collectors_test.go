package protocol_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
)

var update = flag.Bool("update", false, "write what is read now into testdata")

// formatsOf are the formats that say explicitly what a file of testdata/collectors
// is; each of them, and auto, reads the same from it.
func formatsOf(t *testing.T, name string) []protocol.Format {
	for prefix, formats := range map[string][]protocol.Format{
		"kafka_v2_custom_single.":        {protocol.FormatJSON, protocol.FormatJSONSingle},
		"kafka_v2_custom_single_flatten": {protocol.FormatJSON, protocol.FormatJSONFlat},
		"http_jsonline":                  {protocol.FormatJSON, protocol.FormatJSONFlat},
		"kafka_native":                   {protocol.FormatJSON, protocol.FormatJSONFlat},
		"kafka_v1_log":                   {protocol.FormatJSON},
		"loggroup":                       {protocol.FormatJSON},
		"sls_package_list":               {protocol.FormatPackageList},
		"go_loggroup.":                   {protocol.FormatLogGroup},
		"go_loggrouplist":                {protocol.FormatLogGroupList},
	} {
		if strings.HasPrefix(name, prefix) {
			return formats
		}
	}
	if !strings.HasPrefix(name, "sls_package_") {
		t.Fatalf("nobody says what %s is", name)
	}
	return []protocol.Format{protocol.FormatPackage}
}

func collectorFiles(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.json", "*.bin"} {
		found, err := filepath.Glob(filepath.Join("testdata", "collectors", pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 14 {
		t.Fatalf("only %v are there", names)
	}
	return names
}

func TestWhatCollectorsWriteIsRead(t *testing.T) {
	for _, path := range collectorFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			value, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(path + ".want")
			if err != nil && !*update {
				t.Fatal(err)
			}
			for _, f := range append(formatsOf(t, filepath.Base(path)), protocol.FormatAuto) {
				p := protocol.Payload{Value: value, Format: f, Time: time.Unix(42, 0)}
				_, groups, err := p.Scan(nil, nil)
				if err != nil {
					t.Fatalf("%v: %v", f, err)
				}
				var got bytes.Buffer
				for i := range groups {
					if err := json.NewEncoder(&got).Encode(groups[i].Decode()); err != nil {
						t.Fatal(err)
					}
				}
				if *update {
					want = got.Bytes()
				}
				if diff := cmp.Diff(string(want), got.String()); diff != "" {
					t.Errorf("%v: %s", f, diff)
				}
			}
			if *update {
				if err := os.WriteFile(path+".want", want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
