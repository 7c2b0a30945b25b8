//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/protocol"
)

// benchServer is a nats-server in a process of its own, started when it is first
// needed.
type benchServer struct {
	cmd *exec.Cmd
	dir string
	url string
}

func (s *benchServer) start() error {
	if s.cmd != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "flushline-bench")
	if err != nil {
		return err
	}
	s.dir = dir
	cmd := role("server", map[string]string{"DIR": dir})
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server did not start: %w", err)
	}
	s.url = strings.TrimSpace(line)
	return nil
}

func (s *benchServer) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir) // a temporary directory left over is nobody's loss
}

// role is this program again, in another role.
func role(name string, env map[string]string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "FLUSHLINE_BENCH_ROLE="+name)
	for k, v := range env {
		cmd.Env = append(cmd.Env, "BENCH_"+k+"="+v)
	}
	return cmd
}

func runServer() error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: os.Getenv("BENCH_DIR"), NoLog: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("not ready for connections")
	}
	fmt.Println(s.ClientURL())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// load describes a stream's messages: how many, how large, over how many keys.
type load struct {
	Stream   string
	Messages int
	Bytes    int
	Keys     int

	Partitions int // Kafka only
}

// publish fills a stream, once.
func (s *benchServer) publish(l load) error {
	if err := s.start(); err != nil {
		return err
	}
	nc, err := nats.Connect(s.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(64), jetstream.WithPublishAsyncTimeout(time.Minute))
	if err != nil {
		return err
	}
	ctx := context.Background()
	subject := strings.ToLower(l.Stream)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: l.Stream, Subjects: []string{subject}, MaxConsumers: -1}); err != nil {
		return err
	}
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		return err
	}
	for i := range l.Messages {
		if _, err := js.PublishMsgAsync(keyed(l, body, i), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-time.After(5 * time.Minute):
		return errors.New("the server did not confirm what was published")
	}
}

// keyed is message i of a load.
func keyed(l load, body []byte, i int) *nats.Msg {
	m := nats.NewMsg(strings.ToLower(l.Stream))
	m.Data = body
	m.Header.Set("x-log-project", "bench")
	m.Header.Set("x-log-logstore", fmt.Sprintf("store-%d", i%l.Keys))
	m.Header.Set("x-log-config", "c")
	return m
}

// sample is a LogGroup of about n bytes: ten fields of 20 to 40 bytes a log.
func sample(n int) *protocol.LogGroup {
	g := &protocol.LogGroup{Topic: "nginx", Source: "10.0.0.1", LogTags: []*protocol.LogTag{{Key: "__hostname__", Value: "node-17"}}}
	for size := 0; size < n; {
		l := &protocol.Log{Time: 1_700_000_000}
		for f := range 10 {
			value := strings.Repeat(string(rune('a'+f)), 20+2*f)
			l.Contents = append(l.Contents, &protocol.Log_Content{Key: fmt.Sprintf("field_%d", f), Value: value})
		}
		g.Logs = append(g.Logs, l)
		size = g.Size()
	}
	return g
}

func (l load) json() (string, error) {
	b, err := json.Marshal(l)
	return string(b), err
}
