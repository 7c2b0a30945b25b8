package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// validate runs what `make manifests` validates with, and returns what it refused,
// by file, with the reasons.
func validate(t *testing.T, env []string, path string) map[string]string {
	t.Helper()
	command := os.Getenv("FLUSHLINE_VALIDATE")
	if command == "" {
		t.Skip("make manifests runs this, with kubeconform and the schemas")
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command+` -output json "$0"`, path)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var result struct {
		Resources []struct{ Filename, Msg string }
	}
	if broken := json.Unmarshal(out, &result); broken != nil {
		t.Fatalf("%s answered %q: %v", command, out, errors.Join(err, broken))
	}
	refused := map[string]string{}
	for _, r := range result.Resources {
		refused[r.Filename] = r.Msg
	}
	if (err == nil) != (len(refused) == 0) {
		t.Fatalf("%s refused %v, and ended with %v", command, refused, err)
	}
	return refused
}

// free are objects whose keys are the writer's own.
var free = map[string]bool{
	"annotations": true, "data": true, "labels": true, "limits": true,
	"matchLabels": true, "requests": true, "stringData": true,
}

// Each field of each manifest is misspelt once, and each time that is noticed.
func TestAMisspeltFieldIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	misspelt := map[string]string{}
	for _, file := range shipped(t) {
		for _, object := range objects(t, file) {
			fields(object, filepath.Base(file), func(path string) {
				name := filepath.Join(dir, strconv.Itoa(len(misspelt))+".json")
				misspelt[name] = path
				content, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, content, 0o600); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	refused := validate(t, nil, dir)
	for name, path := range misspelt {
		if refused[name] == "" {
			t.Errorf("%s was misspelt and accepted", path)
		}
	}
	t.Logf("%d fields, each misspelt once", len(misspelt))
}

// fields calls shown once for each field below value, while that field alone is
// misspelt.
func fields(value any, path string, shown func(path string)) {
	switch value := value.(type) {
	case []any:
		for i, inner := range value {
			fields(inner, path+"["+strconv.Itoa(i)+"]", shown)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			here, inner := path+"."+key, value[key]
			delete(value, key)
			value[key+"X"] = inner
			shown(here)
			delete(value, key+"X")
			value[key] = inner
			if !free[key] {
				fields(inner, here, shown)
			}
		}
	}
}

func TestValuesOfTheWrongTypeAreRefused(t *testing.T) {
	t.Parallel()
	const good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {b: c}\n"
	dir := t.TempDir()
	for name, content := range map[string]string{
		"good.yaml":     good,
		"twice.yaml":    good + "data: {d: e}\n",
		"number.yaml":   strings.Replace(good, "b: c", "b: 1", 1),
		"unknown.yaml":  strings.Replace(good, "kind: ConfigMap", "kind: Map", 1),
		"version.yaml":  strings.Replace(good, "apiVersion: v1", "apiVersion: v2", 1),
		"emptied.yaml":  strings.Replace(good, "{name: a}", "null", 1),
		"required.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {completions: 1}\n",
		"int32.yaml":    "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {completions: 2147483648, template: {}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := validate(t, nil, dir)
	if why := refused[filepath.Join(dir, "good.yaml")]; why != "" {
		t.Errorf("what is right was refused: %s", why)
	}
	if len(refused) != 7 {
		t.Errorf("refused are %v, want all but good.yaml", refused)
	}
}

// A kind without a schema is an error that needs no network: everything the
// validator might ask would come to the proxy here.
func TestTheNetworkIsNotAsked(t *testing.T) {
	t.Parallel()
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() }) // also without a validator
	asked := make(chan int, 1)
	go func() {
		calls := 0
		for {
			conn, err := proxy.Accept()
			if err != nil {
				asked <- calls
				return
			}
			calls++
			conn.Close()
		}
	}()
	file := filepath.Join(t.TempDir(), "unknown.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: sea.example/v1\nkind: Ship\nmetadata: {name: a}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "http://" + proxy.Addr().String()
	why := validate(t, []string{"HTTP_PROXY=" + address, "HTTPS_PROXY=" + address, "NO_PROXY="}, file)[file]
	proxy.Close()
	if calls := <-asked; calls > 0 {
		t.Errorf("the validator asked the network %d times", calls)
	}
	if !strings.Contains(why, "could not find schema for Ship") {
		t.Errorf("the refusal is %q", why)
	}
}

func shipped(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../deploy/kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no manifests: %v", err)
	}
	return files
}

func objects(t *testing.T, file string) []map[string]any {
	t.Helper()
	opened, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	var all []map[string]any
	for dec := yaml.NewDecoder(opened); ; {
		var one map[string]any
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
}
