// Command natsserver is the nats-server of the black-box tests: JetStream on
// loopback, from the module version that go.mod pins. It prints one line with its
// URL when it is ready, and ends with SIGTERM or when its standard input does, so
// that it never outlives the test that started it.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	var o server.Options
	flag.StringVar(&o.ServerName, "name", "", "server name, by which a test knows its own child")
	flag.StringVar(&o.StoreDir, "dir", "", "store directory")
	flag.IntVar(&o.Port, "port", server.RANDOM_PORT, "port; -1: any")
	flag.BoolVar(&o.SyncAlways, "sync", false, "sync on every write")
	cert := flag.String("cert", "", "PEM file with a certificate: clients have to speak TLS")
	key := flag.String("key", "", "PEM file with its key")
	flag.Parse()
	if err := secure(&o, *cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, "natsserver:", err)
		os.Exit(1)
	}
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "natsserver:", err)
		os.Exit(1)
	}
}

func secure(o *server.Options, cert, key string) error {
	if cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("couldn't use -cert and -key: %w", err)
	}
	o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	return nil
}

func run(o *server.Options) error {
	o.Host, o.JetStream, o.NoSigs = "127.0.0.1", true, true
	o.MaxPayload = 8 << 20
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("couldn't make a server: %w", err)
	}
	s.ConfigureLogger()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, orphaned := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		orphaned()
	}()
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("couldn't start %s: not ready for connections after 10s", o.ServerName)
	}
	fmt.Println(s.ClientURL())
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
