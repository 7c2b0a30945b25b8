package kafkabroker

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
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

// copyDependencies is the goal, with the version of its plugin.
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// dist holds, per version of Kafka, the Maven project that names its jars.
//
//go:embed dist
var dist embed.FS

// Versions are those that can be started, the default first.
func Versions() []string { return []string{Version4, Version3} }

// Available says why no broker can be started here, or nil.
func Available() error {
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("couldn't find %s, which a real Kafka broker needs: install a Java 17 runtime and Maven: %w", program, err)
		}
	}
	return nil
}

// Jars returns the directory with the jars of a version, which it resolves with
// Maven on first use. Processes share it: below .tools of this module, or in the
// user's cache directory when the tests run outside of the module.
func Jars(ctx context.Context, version string) (string, error) {
	pom, err := dist.ReadFile("dist/kafka-" + version + ".xml")
	if err != nil {
		return "", fmt.Errorf("couldn't find the jars of Kafka %q: %w", version, err)
	}
	root, err := toolsDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, fmt.Sprintf("kafka-%s-%x", version, sha256.Sum256(pom))[:len("kafka-")+len(version)+1+12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("couldn't make the directory for Kafka's jars: %w", err)
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", fmt.Errorf("couldn't lock %s: %w", dir, err)
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // another process was first
	}
	return dir, resolve(ctx, pom, dir)
}

// resolve fills dir; it exists only whole.
func resolve(ctx context.Context, pom []byte, dir string) (err error) {
	if err := Available(); err != nil {
		return err
	}
	project, err := os.MkdirTemp(filepath.Dir(dir), "resolving-")
	if err != nil {
		return fmt.Errorf("couldn't make a directory for Kafka's jars: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(project)) }()
	if err := os.WriteFile(filepath.Join(project, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("couldn't write the Maven project: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", copyDependencies, "-DincludeScope=runtime", "-DoutputDirectory=libs")
	mvn.Dir = project
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("couldn't resolve Kafka's jars with Maven: %w\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(project, "libs"), dir); err != nil {
		return fmt.Errorf("couldn't keep Kafka's jars: %w", err)
	}
	return nil
}

// toolsDir is where the module keeps what make installs.
func toolsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("couldn't find the working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".tools"), nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("couldn't look for the module in %s: %w", dir, err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("couldn't find a directory for Kafka's jars: %w", err)
	}
	return filepath.Join(cache, "flushline"), nil
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
