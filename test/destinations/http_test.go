package destinations

import (
	"bytes"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/flushline/flushline/flushers/flushertest"
)

// httpTarget is a server that stores what it is posted in a synced file, and answers
// then.
func httpTarget(tb testing.TB) flushertest.Target {
	s := startServer(tb, "http")
	return flushertest.Target{
		Options: map[string]any{"url": "http://" + s.addr + "/in", "timeout": "5s"},
		Stored: func() ([]flushertest.Record, error) {
			text, err := os.ReadFile(filepath.Join(s.dir, shelf))
			if err != nil {
				return nil, err
			}
			return flushertest.JSONLines(text)
		},
		Break: s.crash,
		Heal:  s.start,
	}
}

const shelf = "received.jsonl"

// serveHTTP is the server's process.
func serveHTTP() int {
	f, err := openShelf(filepath.Join(os.Getenv("FLUSHLINE_DESTINATION_DIR"), shelf))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.Listen("tcp", os.Getenv("FLUSHLINE_DESTINATION_ADDR"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go endWithParent()
	fmt.Println(l.Addr())
	var mu sync.Mutex
	fmt.Fprintln(os.Stderr, nethttp.Serve(l, nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut off
		}
		mu.Lock()
		_, err = f.Write(body)
		mu.Unlock()
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			nethttp.Error(w, err.Error(), nethttp.StatusInternalServerError)
		}
	})))
	return 1
}

// openShelf cuts off the line that a kill left unfinished: nobody was told that it is
// stored.
func openShelf(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	whole := int64(bytes.LastIndexByte(text, '\n') + 1)
	if err := f.Truncate(whole); err != nil {
		return nil, err
	}
	_, err = f.Seek(whole, io.SeekStart)
	return f, err
}

// endWithParent keeps a server from outliving its test.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}
