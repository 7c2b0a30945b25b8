package javaserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// copyDependencies is the goal, with the version of its plugin.
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// Have says which of the programs is missing here, and what would bring it.
func Have(instead string, programs ...string) error {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("couldn't find %s, which %w", program, errors.Join(errors.New(instead), err))
		}
	}
	return nil
}

// Keep returns the directory of what a server runs from, which make fills on first
// use, within five minutes; it exists only whole. It is named for the server and the
// hash of what it is made from. Processes share it: below .tools of this module, or in
// the user's cache directory when the tests run outside of the module.
func Keep(ctx context.Context, name string, from []byte, fill func(ctx context.Context, dir string) error) (string, error) {
	root, err := toolsDir()
	if err != nil {
		return "", err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(from))
	dir := filepath.Join(root, name+"-"+sum[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("couldn't make the directory for %s: %w", name, err)
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", fmt.Errorf("couldn't lock %s: %w", dir, err)
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // another process was first
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return dir, whole(ctx, dir, fill)
}

// whole fills a directory beside dir and then names it dir.
func whole(ctx context.Context, dir string, fill func(ctx context.Context, dir string) error) (err error) {
	part, err := os.MkdirTemp(filepath.Dir(dir), "resolving-")
	if err != nil {
		return fmt.Errorf("couldn't make a directory for jars: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(part)) }()
	if err := fill(ctx, part); err != nil {
		return err
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return fmt.Errorf("couldn't let others read the jars: %w", err)
	}
	if err := os.Rename(part, dir); err != nil {
		return fmt.Errorf("couldn't keep the jars: %w", err)
	}
	return nil
}

// Resolve puts the jars that a Maven project needs at run time into a directory.
func Resolve(ctx context.Context, pom []byte, into string) (err error) {
	project, err := os.MkdirTemp("", "flushline-maven-")
	if err != nil {
		return fmt.Errorf("couldn't make a directory for a Maven project: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(project)) }()
	if err := os.WriteFile(filepath.Join(project, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("couldn't write the Maven project: %w", err)
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", copyDependencies, "-DincludeScope=runtime", "-DoutputDirectory="+into)
	mvn.Dir = project
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("couldn't resolve jars with Maven: %w\n%s", err, out)
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
		return "", fmt.Errorf("couldn't find a directory for jars: %w", err)
	}
	return filepath.Join(cache, "flushline"), nil
}
