package kafkabroker

import (
	"context"
	"embed"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/flushline/flushline/test/javaserver"
)

// The versions of Apache Kafka that can be started.
const (
	Version4 = "4.3.1" // the default
	Version3 = "3.9.2"
)

// required says that a machine without Java or Maven fails the tests instead of
// skipping them.
const required = "FLUSHLINE_REQUIRE_KAFKA"

// Required says that tests must not be skipped for want of a broker.
func Required() bool { return os.Getenv(required) != "" }

// dist holds, per version of Kafka, the Maven project that names its jars.
//
//go:embed dist
var dist embed.FS

// Versions are those that can be started, the default first.
func Versions() []string { return []string{Version4, Version3} }

// Available says why no broker can be started here, or nil.
func Available() error {
	return javaserver.Have("a real Kafka broker needs: install a Java 17 runtime and Maven", "java", "mvn")
}

// Jars returns the directory with the jars of a version, which it resolves with
// Maven on first use. Processes share it.
func Jars(ctx context.Context, version string) (string, error) {
	pom, err := dist.ReadFile("dist/kafka-" + version + ".xml")
	if err != nil {
		return "", fmt.Errorf("couldn't find the jars of Kafka %q: %w", version, err)
	}
	return javaserver.Keep(ctx, "kafka-"+version, pom, func(ctx context.Context, dir string) error {
		if err := Available(); err != nil {
			return err
		}
		return javaserver.Resolve(ctx, pom, dir)
	})
}

// knownVersion names the default for "" and refuses what cannot be started.
func knownVersion(version string) (string, error) {
	if version == "" {
		return Version4, nil
	}
	if !slices.Contains(Versions(), version) {
		return "", fmt.Errorf("couldn't find Kafka %q: known versions are %s", version, strings.Join(Versions(), ", "))
	}
	return version, nil
}
