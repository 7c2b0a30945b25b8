package configs_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
)

// builtins are the kinds that the examples use.
func builtins(t testing.TB) *flushers.Registry {
	t.Helper()
	r, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func compile(t *testing.T, kinds *flushers.Registry) *jsonschema.Schema {
	t.Helper()
	text, err := configs.Schema(kinds)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("flushline.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("flushline.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, data []byte) error {
	t.Helper()
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	kinds := builtins(t)
	schema := compile(t, kinds)
	names := configs.Examples()
	for _, want := range []string{"kafka.yaml", "kafka-forward.yaml", "nats.yaml", "embedded.yaml", "demo.yaml", "elasticsearch.yaml", "http.yaml", "two-routes.json"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
	for _, name := range names {
		data, err := configs.Example(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, report := configs.Parse(name, data, kinds); len(report.Problems) > 0 {
			t.Errorf("%s", report)
		}
		if err := validate(t, schema, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := configs.Example("absent.yaml"); err == nil || !strings.Contains(err.Error(), "nats.yaml") {
		t.Errorf("an example that does not exist: %v", err)
	}
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	t.Parallel()
	schema := compile(t, testKinds(t))
	if err := validate(t, schema, []byte(full)); err != nil {
		t.Errorf("%v", err)
	}
}

// TestSchemaRefusesWhatItCanSee takes the bad files whose mistake a schema can
// know of.
func TestSchemaRefusesWhatItCanSee(t *testing.T) {
	t.Parallel()
	a, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{}
	for i := 0; i < len(a.Files); i += 2 {
		bad[a.Files[i].Name] = a.Files[i].Data
	}
	schema := compile(t, testKinds(t))
	for _, name := range []string{
		"unknown.json", "unknown-key.yaml", "unknown-within.yaml", "unknown-in-entry.yaml", "unknown-engine-key.yaml",
		"missing-source.yaml", "missing-routes.yaml", "missing-type.yaml", "missing-route-name.yaml", "missing-flushers.yaml",
		"empty-routes.yaml", "routes-no-list.yaml", "route-no-block.yaml", "wrong-type-number.yaml", "wrong-type-quotes.yaml",
		"wrong-type-list.yaml", "wrong-type-block.yaml", "size-unit.yaml", "duration-number.yaml", "duration-text.yaml", "enum.yaml",
		"source-none.yaml", "source-two.yaml", "source-file.yaml", "source-text.yaml", "decode-type.yaml", "key-block.yaml", "key-empty.yaml", "key-word.yaml", "key-element.yaml", "key-two-places.yaml", "flusher-unknown.yaml",
		"flusher-rate.yaml", "dead-letter-word.yaml", "dead-letter-key.yaml",
	} {
		data, ok := bad[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		if err := validate(t, schema, data); err == nil {
			t.Errorf("the schema accepts %s", name)
		}
	}
}

func TestSchemaIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	a, errA := configs.Schema(builtins(t))
	b, errB := configs.Schema(builtins(t))
	if errA != nil || errB != nil || !bytes.Equal(a, b) || !json.Valid(a) {
		t.Errorf("%v %v", errA, errB)
	}
	for _, secret := range []string{"password", "token"} {
		if !bytes.Contains(a, []byte(secret)) {
			t.Errorf("%s is missing", secret)
		}
	}
	if len(configs.EntryFields()) < 6 {
		t.Errorf("%+v", configs.EntryFields())
	}
}
