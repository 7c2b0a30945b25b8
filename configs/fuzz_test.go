package configs_test

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flushline/flushline/configs"
)

// FuzzParse holds for every input: no panic, a Config or an error but not both,
// positions within the file, and no secret in what is reported.
func FuzzParse(f *testing.F) {
	a, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(a.Files); i += 2 {
		f.Add(a.Files[i].Data, strings.HasSuffix(a.Files[i].Name, ".json"))
	}
	for _, name := range configs.Examples() {
		data, err := configs.Example(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, strings.HasSuffix(name, ".json"))
	}
	f.Add([]byte(full), false)
	kinds := testKinds(f)
	f.Fuzz(func(t *testing.T, data []byte, asJSON bool) {
		name := "f.yaml"
		if asJSON {
			name = "f.json"
		}
		if strings.Contains(string(data), "${file:") {
			return // the fuzzer reads no files
		}
		config, report := configs.Parse(name, data, kinds)
		if (config == nil) != report.Failed() {
			t.Fatalf("config %v with the report %s", config != nil, report)
		}
		lines := strings.Split(string(data), "\n")
		for _, p := range report.Problems {
			if p.Message == "" || p.Pos.Line > len(lines) || p.Pos.Line < 0 || p.Pos.Col < 0 {
				t.Errorf("%+v", p)
			}
		}
		text := report.String()
		if config != nil {
			again, _ := configs.Parse(name, data, kinds)
			if again == nil || again.Hash != config.Hash {
				t.Error("the same file gives another result")
			}
			config.Worker()
		}
		if strings.Contains(text, "hunter2") && !strings.Contains(strings.ReplaceAll(string(data), "password: hunter2", ""), "hunter2") {
			t.Errorf("the report shows a secret:\n%s", text)
		}
	})
}
