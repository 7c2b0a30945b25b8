// Command manifests writes what `make manifests` validates deploy/kubernetes
// against: a JSON schema for each kind of object that a version of Kubernetes has,
// made from the description of its API in its own Go module.
//
//	go run ./test/manifests VERSION SUM DIR
//
// VERSION and SUM are those of module k8s.io/kubernetes, which is fetched by `go mod
// download` (22 MB, once per machine). DIR exists only whole; one that is there is
// replaced. The schemas are strict, a field that Kubernetes does not know is an error,
// and each stands alone, so that who reads one asks no network for another.
//
// What they cannot say is left to the tests in deploy: Kubernetes describes no enumerations
// and no rules between fields.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: manifests VERSION SUM DIR, as the Makefile calls it")
	}
	version, sum, dir := args[0], args[1], args[2]
	api, err := download(ctx, version, sum)
	if err != nil {
		return err
	}
	schemas, err := convert(api)
	if err != nil {
		return fmt.Errorf("couldn't make schemas from the API of Kubernetes %s: %w", version, err)
	}
	if err := write(dir, schemas); err != nil {
		return fmt.Errorf("couldn't write the schemas of Kubernetes %s: %w", version, err)
	}
	fmt.Printf("manifests are validated against %d kinds of Kubernetes %s (%s)\n", len(schemas), version, dir)
	return nil
}

// write makes dir with a file for each schema, beside it first.
func write(dir string, schemas map[string][]byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	whole, err := os.MkdirTemp(filepath.Dir(dir), "schemas-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(whole)) }()
	for name, schema := range schemas {
		if err := os.WriteFile(filepath.Join(whole, name), schema, 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(whole, dir)
}
