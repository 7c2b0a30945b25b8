package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/nats"
)

// startPatience bounds the start: recovery of a large store reads all of it.
const startPatience = 5 * time.Minute

// Server is a running server with its stream and consumer.
type Server struct {
	cfg  Config
	host string
	lock *dirLock
	srv  *server.Server
	most int64 // bytes that the store may use, as the server reckoned when it began

	closing, mended chan struct{} // of the goroutine that opens the store again; nil: it does not run
}

// Start locks the directory, runs the server and makes the stream and the
// consumer where they are missing. It returns when clients can publish. An error
// leaves nothing running.
func Start(ctx context.Context, cfg Config, log *zap.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("couldn't start the embedded queue: %w", err)
	}
	if log == nil {
		log = zap.NewNop()
	}
	s := &Server{cfg: cfg}
	if err := s.start(ctx, log); err != nil {
		s.Close()
		return nil, fmt.Errorf("couldn't start the embedded queue: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, log *zap.Logger) error {
	if err := os.MkdirAll(s.cfg.Dir, 0o750); err != nil {
		return fmt.Errorf("couldn't make dir: %w", err)
	}
	var err error
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	if err := s.run(ctx, log); err != nil {
		return err
	}
	return s.setUp(ctx, log)
}

// run starts the server and waits until it serves, failed or ctx ended.
func (s *Server) run(ctx context.Context, log *zap.Logger) error {
	opts, err := s.options()
	if err != nil {
		return err
	}
	if s.srv, err = server.NewServer(opts); err != nil {
		return err
	}
	said := &serverLog{log: log.Named("nats-server"), fatal: make(chan string, 1), failed: make(chan string, 1)}
	s.srv.SetLoggerV2(said, false, false, false)
	s.srv.Start()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for !s.srv.ReadyForConnections(50*time.Millisecond) || !s.srv.JetStreamEnabled() {
		select {
		case why := <-said.fatal:
			return s.explain(why)
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w", context.Cause(ctx))
		default:
		}
	}
	if c := s.srv.JetStreamConfig(); c != nil { // else it was given up this moment, and is reckoned anew
		s.most = c.MaxStore
	}
	s.closing, s.mended = make(chan struct{}), make(chan struct{})
	go s.mend(said.failed, log)
	return nil
}

// explain tells a busy port from what else ends a server.
func (s *Server) explain(why string) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("couldn't listen on %s: %w; is another server running there? set listen to another address, or to port 0 for a free one", s.cfg.Listen, err)
	}
	_ = l.Close() // only asked whether it can be had
	return errors.New(why)
}

func (s *Server) options() (*server.Options, error) {
	host, port, err := s.cfg.address()
	if err != nil {
		return nil, err
	}
	s.host = host
	if port == 0 {
		port = server.RANDOM_PORT
	}
	opts := &server.Options{
		ServerName:    "flushline-embedded",
		Host:          host,
		Port:          port,
		Authorization: s.cfg.Token.Reveal(),
		JetStream:     true,
		StoreDir:      s.cfg.Dir,
		SyncInterval:  SyncInterval,
		SyncAlways:    s.cfg.Sync == "always",
		MaxPayload:    int32(s.cfg.MaxPayload),
		NoSigs:        true,
	}
	return opts, nil
}

func (s *Server) setUp(ctx context.Context, log *zap.Logger) error {
	cfg := s.ClientConfig()
	conn, err := nats.Connect(ctx, cfg, log, s.InProcess())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = nats.Setup(ctx, conn, cfg, nats.SetupOptions{Update: true, MaxBytes: int64(s.cfg.MaxBytes)})
	return err
}

// URL is where clients connect, with the port that was taken.
func (s *Server) URL() string {
	port := 0
	if a, ok := s.srv.Addr().(*net.TCPAddr); ok {
		port = a.Port
	}
	host := s.host
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// ClientConfig is how this process reads the queue.
func (s *Server) ClientConfig() *nats.Config {
	c := nats.DefaultConfig()
	c.URL = s.URL()
	c.Token = s.cfg.Token
	c.Stream, c.Durable, c.Subjects = s.cfg.Stream, s.cfg.Durable, s.cfg.Subjects
	c.Strict = s.cfg.Strict
	return &c
}

// InProcess makes a connection that does not go through the network.
func (s *Server) InProcess() natsgo.Option { return natsgo.InProcessServer(s.srv) }

// Close stops the server, waits until everything is on the disk, and unlocks the
// directory. Further calls do nothing.
func (s *Server) Close() {
	if s.closing != nil {
		close(s.closing)
		<-s.mended
		s.closing = nil
	}
	if s.srv != nil {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		s.srv = nil
	}
	s.lock.unlock()
	s.lock = nil
}
