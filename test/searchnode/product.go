package searchnode

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/flushline/flushline/test/javaserver"
)

// Product is what a node runs.
type Product int

// The products, of the versions that Version tells.
const (
	OpenSearch Product = iota // the default
	Elasticsearch
)

// Products are those that can be started, the default first.
func Products() []Product { return []Product{OpenSearch, Elasticsearch} }

// String is the name that people use.
func (p Product) String() string { return [...]string{"OpenSearch", "Elasticsearch"}[p] }

// Version is the released version that runs.
func (p Product) Version() string { return [...]string{"2.19.4", "7.17.28"}[p] }

func (p Product) file() string { return strings.ToLower(p.String()) }

// required says that a machine without Java or Maven fails the tests instead of
// skipping them.
const required = "FLUSHLINE_REQUIRE_SEARCH"

// Required says that tests must not be skipped for want of a node.
func Required() bool { return os.Getenv(required) != "" }

// dist holds the Maven project of each product and the classes beside its jars.
//
//go:embed dist
var dist embed.FS

// Available says why no node can be started here, or nil.
func Available() error {
	return javaserver.Have("a real OpenSearch or Elasticsearch needs: install a Java 17 JDK and Maven", "java", "javac", "mvn")
}

// Jars returns the directory with what a product runs from: jars in libs, our own
// classes beside it. It is made with Maven and javac on first use. Processes share it.
func Jars(ctx context.Context, p Product) (string, error) {
	pom, sources, err := p.parts()
	if err != nil {
		return "", err
	}
	from := append([]byte(nil), pom...)
	for _, s := range sources {
		from = append(from, s.text...)
	}
	return javaserver.Keep(ctx, p.file()+"-"+p.Version(), from, func(ctx context.Context, dir string) error {
		if err := Available(); err != nil {
			return err
		}
		libs := filepath.Join(dir, "libs")
		if err := javaserver.Resolve(ctx, pom, libs); err != nil {
			return err
		}
		return compile(ctx, sources, libs, dir)
	})
}

type source struct{ name, text string }

// parts are the Maven project and the classes of a product. They are written for
// OpenSearch, which has its packages from Elasticsearch.
func (p Product) parts() (pom []byte, sources []source, err error) {
	if pom, err = dist.ReadFile("dist/" + p.file() + ".xml"); err != nil {
		return nil, nil, fmt.Errorf("couldn't find the jars of %s: %w", p, err)
	}
	for _, name := range []string{"SearchNode", "GatePlugin", "PEM", "TLSPlugin-" + p.file()} {
		text, err := dist.ReadFile("dist/" + name + ".java")
		if err != nil {
			return nil, nil, fmt.Errorf("couldn't find the classes of %s: %w", p, err)
		}
		s := source{strings.TrimSuffix(name, "-"+p.file()) + ".java", string(text)}
		if p == Elasticsearch {
			s.text = strings.NewReplacer("org.opensearch.core.rest.", "org.elasticsearch.rest.", "org.opensearch.", "org.elasticsearch.").Replace(s.text)
		}
		sources = append(sources, s)
	}
	return pom, sources, nil
}

func compile(ctx context.Context, sources []source, libs, into string) error {
	args := []string{"-nowarn", "-proc:none", "--release", "17", "-cp", filepath.Join(libs, "*"), "-d", into}
	for _, s := range sources {
		path := filepath.Join(into, s.name)
		if err := os.WriteFile(path, []byte(s.text), 0o644); err != nil {
			return fmt.Errorf("couldn't write %s: %w", s.name, err)
		}
		args = append(args, path)
	}
	if out, err := exec.CommandContext(ctx, "javac", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("couldn't compile the main class of a node: %w\n%s", err, out)
	}
	return nil
}
