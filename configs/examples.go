package configs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.yaml *.json
var examples embed.FS

// Examples are the names of the ready-made files, sorted.
func Examples() []string {
	entries, err := examples.ReadDir(".")
	if err != nil {
		return nil // an embedded directory can be read
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// Example is the content of a ready-made file.
func Example(name string) ([]byte, error) {
	data, err := examples.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("there is no example %q: they are %s", name, strings.Join(Examples(), ", "))
	}
	return data, nil
}
