// Try runs a command beside a server that the example can write to: it keeps what is
// PUT to it as files in a temporary directory, each synced before it answers.
//
//	go run ./try ./customflusher demo -c flushline.yaml --for 10s
//
// The command finds the server's URL in DAV_URL. Try ends with the command's exit
// code, after it has said how many objects there are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: try COMMAND [ARGUMENT...]")
		os.Exit(64)
	}
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // it is the command's to end
	code, err := try(context.Background(), os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "try:", err)
		code = 1
	}
	os.Exit(code)
}

func try(ctx context.Context, command string, args []string) (code int, err error) {
	dir, err := os.MkdirTemp("", "customflusher-")
	if err != nil {
		return 0, fmt.Errorf("couldn't make a directory for objects: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("couldn't listen: %w", err)
	}
	server := &http.Server{Handler: shelf(dir), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // until the process ends

	c := exec.CommandContext(ctx, command, args...)
	c.Env = append(os.Environ(), "DAV_URL=http://"+l.Addr().String(), "DAV_TOKEN=sesame")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	objects, walk := count(dir)
	fmt.Printf("%d objects are stored\n", objects)
	return code, errors.Join(err, walk)
}

// shelf is the directory that objects are stored in.
type shelf string

func (s shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	switch {
	case r.Method != http.MethodPut || strings.Contains(r.URL.Path, ".."):
		http.Error(w, "want a PUT of one object", http.StatusMethodNotAllowed)
	case r.Header.Get("Authorization") != "Bearer sesame":
		http.Error(w, "want the token sesame", http.StatusUnauthorized)
	case err != nil: // the client has gone
	default:
		if err := s.store(r.URL.Path, body); err != nil {
			http.Error(w, err.Error(), http.StatusInsufficientStorage)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// store replaces the object as a whole.
func (s shelf) store(path string, body []byte) error {
	name := filepath.Join(string(s), filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func count(dir string) (objects int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			objects++
		}
		return err
	})
	return objects, err
}
