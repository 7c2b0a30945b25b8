package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newFlushersDocs(p *program) *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "docs DIR",
		Short: "Write a page for each kind, and an index",
		Long: `Writes DIR/KIND.md for each kind and DIR/README.md, made from the options and texts of
the kinds, and removes pages of kinds that are gone. Pages that others wrote stay.
With --check nothing is written: pages that are not current are named instead.

Exit codes: 0 done; 1 a page could not be written, or --check found one that is
not current.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return p.flushersDocs(args[0], check) },
	}
	c.Flags().BoolVar(&check, "check", false, "write nothing, and fail if a page is not current")
	return c
}

func (p *program) flushersDocs(dir string, check bool) error {
	stale, err := p.stalePages(dir)
	if err != nil {
		return err
	}
	if check {
		if len(stale) > 0 {
			return fmt.Errorf("%s: not current: %s; `make docs` mends them", dir, strings.Join(names(stale), ", "))
		}
		return nil
	}
	for _, s := range stale {
		file := filepath.Join(dir, s.name)
		if s.text == nil {
			err = os.Remove(file)
		} else {
			err = os.WriteFile(file, s.text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("couldn't bring %s up to date: %w", file, err)
		}
		fmt.Fprintln(p.stdout, file)
	}
	return nil
}

// page is a file of the docs; without text it has to go.
type page struct {
	name string
	text []byte
}

func names(pages []page) []string {
	var out []string
	for _, p := range pages {
		out = append(out, p.name)
	}
	return out
}

// pages are all that there have to be. The page of a kind of another system is
// made there, and stays as it is.
func (p *program) pages() (pages []page, kept []string) {
	kinds := p.kinds.Kinds()
	for i := range kinds {
		name := kinds[i].Name + ".md"
		if kinds[i].New == nil {
			kept = append(kept, name)
			continue
		}
		pages = append(pages, page{name, []byte(kindPage(&kinds[i]))})
	}
	return append(pages, page{"README.md", []byte(kindIndex(kinds))}), kept
}

// stalePages are those that differ from what they should be.
func (p *program) stalePages(dir string) ([]page, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("couldn't look for pages: %w", err)
	}
	pages, kept := p.pages()
	var stale []page
	for _, want := range pages {
		got, err := os.ReadFile(filepath.Join(dir, want.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("couldn't read a page: %w", err)
		}
		kept = append(kept, want.name)
		if err != nil || !bytes.Equal(got, want.text) {
			stale = append(stale, want)
		}
	}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".md" || slices.Contains(kept, e.Name()) {
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("couldn't read a page: %w", err)
		}
		if bytes.HasPrefix(got, []byte(pageMark)) {
			stale = append(stale, page{name: e.Name()})
		}
	}
	return stale, nil
}
