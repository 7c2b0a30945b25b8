package cmd_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
)

// startSilence listens and never answers: a destination that hangs.
func startSilence(env *testscript.Env) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	env.Defer(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return "http://" + ln.Addr().String() + "/", nil
}

// startRefusal answers that it will never take what it is given.
func startRefusal(env *testscript.Env) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what it says does not depend on it
		http.Error(w, "mapper_parsing_exception: field [age] of document 17", http.StatusBadRequest)
	}))
	env.Defer(s.Close)
	return s.URL
}

// jetStream is that of the story's server, for as long as one command may take.
func jetStream(ts *testscript.TestScript) (ctx context.Context, js jetstream.JetStream, end func()) {
	nc, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	js, err = jetstream.New(nc)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	return ctx, js, func() {
		cancel()
		nc.Close()
	}
}

// stored N STREAM: waits until a stream of the story's server holds N messages.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stored N STREAM")
	}
	ctx, js, end := jetStream(ts)
	defer end()
	last := "no answer"
	for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		stream, err := js.Stream(ctx, args[1])
		if err != nil {
			last = err.Error()
			continue
		}
		if last = strconv.FormatUint(stream.CachedInfo().State.Msgs, 10); last == args[0] {
			return
		}
	}
	ts.Fatalf("%s has %s messages, want %s", args[1], last, args[0])
}

// ages STREAM AGE: has a stream of the story's server delete its messages at an age.
func ages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ages STREAM AGE")
	}
	age, err := time.ParseDuration(args[1])
	ts.Check(err)
	ctx, js, end := jetStream(ts)
	defer end()
	stream, err := js.Stream(ctx, args[0])
	ts.Check(err)
	cfg := stream.CachedInfo().Config
	cfg.MaxAge = age
	_, err = js.UpdateStream(ctx, cfg)
	ts.Check(err)
}

// terminate sends SIGTERM to the process started last in the background.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.BackgroundCmds()
	if neg || len(args) != 0 || len(running) == 0 {
		ts.Fatalf("usage: terminate, after exec ... &")
	}
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGTERM))
}

// hangup sends SIGHUP to the process started last in the background.
func hangup(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.BackgroundCmds()
	if neg || len(args) != 0 || len(running) == 0 {
		ts.Fatalf("usage: hangup, after exec ... &")
	}
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGHUP))
}

// answers CODE URL: asks until the code comes; what was answered is stdout.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answers CODE URL")
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get(args[1])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		last = resp.Status + " " + string(body)
		if err == nil && strconv.Itoa(resp.StatusCode) == args[0] {
			_, err := ts.Stdout().Write(body)
			ts.Check(err)
			return
		}
	}
	ts.Fatalf("%s did not answer %s within 30s; the last answer:\n%s", args[1], args[0], strings.TrimSpace(last))
}
