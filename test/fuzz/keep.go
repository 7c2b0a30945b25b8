package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// keepFound copies the smallest inputs that reached new code to where the tests run
// them always. Go names inputs by their content, so none is there twice.
func (r *runner) keepFound(t target) error {
	from, to := filepath.Join(r.cacheOf(t), t.name), filepath.Join(t.dir, "testdata", "fuzz", t.name)
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing new was found
	} else if err != nil {
		return fmt.Errorf("couldn't read what was found: %w", err)
	}
	var inputs [][]byte
	names := map[*byte]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return fmt.Errorf("couldn't read what was found: %w", err)
		}
		if len(data) > 0 {
			inputs = append(inputs, data)
			names[&data[0]] = e.Name()
		}
	}
	slices.SortStableFunc(inputs, func(a, b []byte) int { return cmp.Compare(len(a), len(b)) })
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("couldn't keep what was found: %w", err)
	}
	left := r.keep
	for _, data := range inputs {
		if left -= int64(len(data)); left < 0 {
			break
		}
		if err := os.WriteFile(filepath.Join(to, names[&data[0]]), data, 0o644); err != nil {
			return fmt.Errorf("couldn't keep what was found: %w", err)
		}
	}
	return nil
}
