// Command jars fetches what the tests' search nodes run from, ahead of the tests, and
// says which versions they will run. Without Java or Maven it says that tests will be
// skipped, which is an error where FLUSHLINE_REQUIRE_SEARCH is set.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/flushline/flushline/test/searchnode"
)

func main() {
	err := searchnode.Available()
	switch {
	case err == nil:
		err = fetch()
	case !searchnode.Required():
		fmt.Println("tests that need OpenSearch or Elasticsearch are skipped:", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fetch() error {
	for _, p := range searchnode.Products() {
		dir, err := searchnode.Jars(context.Background(), p)
		if err != nil {
			return err
		}
		fmt.Printf("tests run against %s %s (%s)\n", p, p.Version(), dir)
	}
	return nil
}
