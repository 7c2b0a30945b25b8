package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// description is where the module keeps what its API looks like (OpenAPI 2).
const description = "api/openapi-spec/swagger.json"

// download returns the description of a version's API. It runs outside of this
// module, whose go.mod Kubernetes does not belong in; so the sum is checked here.
func download(ctx context.Context, version, sum string) (api []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	outside, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return nil, fmt.Errorf("couldn't make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(outside)) }()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	cmd.Dir, cmd.Stdout, cmd.Stderr = outside, &stdout, &stderr
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	ran := cmd.Run()
	var module struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(stdout.Bytes(), &module); err != nil || module.Error != "" {
		return nil, fmt.Errorf("couldn't download Kubernetes %s: %w: %s%s", version, errors.Join(ran, err), module.Error, stderr.Bytes())
	}
	if module.Sum != sum {
		return nil, fmt.Errorf("couldn't trust Kubernetes %s: its sum is %s, the Makefile has %s", version, module.Sum, sum)
	}
	api, err = os.ReadFile(filepath.Join(module.Dir, filepath.FromSlash(description)))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the API of Kubernetes %s: %w", version, err)
	}
	return api, nil
}
