// Command jars fetches what the tests' Kafka brokers run from, ahead of the tests,
// and says which versions they will run. Without Java or Maven it says that tests
// will be skipped, which is an error where FLUSHLINE_REQUIRE_KAFKA is set.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/flushline/flushline/test/kafkabroker"
)

func main() {
	err := kafkabroker.Available()
	switch {
	case err == nil:
		err = fetch()
	case !kafkabroker.Required():
		fmt.Println("tests that need Apache Kafka are skipped:", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fetch() error {
	for _, version := range kafkabroker.Versions() {
		dir, err := kafkabroker.Jars(context.Background(), version)
		if err != nil {
			return err
		}
		fmt.Printf("tests run against Apache Kafka %s (%s)\n", version, dir)
	}
	return nil
}
