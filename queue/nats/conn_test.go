package nats_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/nats"
)

// refused checks that a connection fails at once, with a text that helps and
// holds no secret.
func (b *broker) refused(cfg *nats.Config, want ...string) {
	b.Helper()
	begin := time.Now()
	conn, err := nats.Connect(b.Context(), cfg, nil)
	if err == nil {
		conn.Close()
		b.Fatalf("connected, want an error with %q", want)
	}
	if d := time.Since(begin); d > 20*time.Second {
		b.Errorf("the error took %v", d)
	}
	for _, s := range want {
		if !strings.Contains(err.Error(), s) {
			b.Errorf("%v\ndoes not say %q", err, s)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		b.Errorf("%v\nholds the secret", err)
	}
}

func TestUserAndPassword(t *testing.T) {
	t.Parallel()
	b := startBroker(t, func(o *server.Options) { o.Username, o.Password = "ann", "right" })
	cfg := b.config()
	b.refused(cfg, "refused the credentials", cfg.URL)
	cfg.User, cfg.Password = "ann", option.NewSecret("s3cret")
	b.refused(cfg, "refused the credentials")
	cfg.URL = strings.Replace(cfg.URL, "nats://", "nats://ann:s3cret@", 1)
	cfg.User, cfg.Password = "", option.Secret{}
	b.refused(cfg, "***@127.0.0.1")
	cfg = b.config()
	cfg.User, cfg.Password = "ann", option.NewSecret("right")
	b.connect(cfg)
}

func TestToken(t *testing.T) {
	t.Parallel()
	b := startBroker(t, func(o *server.Options) { o.Authorization = "right" })
	cfg := b.config()
	cfg.Token = option.NewSecret("s3cret")
	b.refused(cfg, "refused the credentials")
	cfg.Token = option.NewSecret("right")
	b.connect(cfg)
}

func TestNKey(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	b := startBroker(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} })
	cfg := b.config()
	cfg.NKey = filepath.Join(t.TempDir(), "user.nk")
	b.refused(cfg, "nkey", cfg.NKey)
	write(t, cfg.NKey, []byte("no seed"))
	b.refused(cfg, "couldn't read an nkey seed", cfg.NKey)
	write(t, cfg.NKey, seed)
	conn := b.connect(cfg)

	// The file is read again at a reconnect.
	if err := os.Remove(cfg.NKey); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.start()
	b.eventually(func() error {
		if v, err := b.Server.Varz(nil); err != nil || v.TotalConnections < 3 {
			return errorf("not tried three times: %v", err)
		}
		return nil
	})
	if conn.Connected() {
		t.Error("reconnected without the seed's file")
	}
	write(t, cfg.NKey, seed)
	b.eventually(func() error {
		if !conn.Connected() {
			return errorf("not connected again")
		}
		return nil
	})
}

func TestMissingCredentialsFile(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	cfg.Creds = filepath.Join(t.TempDir(), "user.creds")
	b.refused(cfg, "creds", cfg.Creds)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, caKey := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "server", ca, caKey)
	certificate(t, dir, "client", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(o *server.Options) {
		o.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
			ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		}
		o.TLSTimeout = 10
	})
	cfg := b.config()
	cfg.TLS.Cert, cfg.TLS.Key = filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	b.refused(cfg, "TLS handshake failed", "tls.ca")
	cfg.TLS.CA = filepath.Join(dir, "nothing.pem")
	b.refused(cfg, "nothing.pem")
	cfg.TLS.CA = filepath.Join(dir, "ca.pem")
	cfg.TLS.ServerName = "other"
	b.refused(cfg, "TLS handshake failed", "tls.server_name")
	cfg.TLS.ServerName = ""
	b.connect(cfg)
	cfg.TLS.Cert, cfg.TLS.Key = "", ""
	b.refused(cfg, "TLS")
}

func TestAServerWithoutTLSIsRefused(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	cfg.URL = strings.Replace(cfg.URL, "nats://", "tls://", 1)
	b.refused(cfg, "speaks no TLS")
}

func TestAServerWithoutJetStream(t *testing.T) {
	t.Parallel()
	b := startBroker(t, func(o *server.Options) { o.JetStream = false })
	cfg := b.config()
	cfg.ConnectTimeout = time.Second
	b.refused(cfg, "JetStream does not answer at $JS.API", "enabled")
}

func TestConnectWaitsForTheServer(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	b.stop()
	cfg := b.config()
	cfg.ConnectTimeout = 500 * time.Millisecond
	b.refused(cfg, "gave up after", "refused")
	core, told := observer.New(zap.WarnLevel)
	if _, err := nats.Connect(t.Context(), cfg, zap.New(core)); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect = %v, want the deadline", err)
	}
	if n := told.FilterMessageSnippet("couldn't connect to nats yet").Len(); n != 1 {
		t.Errorf("%d log lines say what is waited for, want one in ten seconds", n)
	}
	cfg.ConnectTimeout = 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		conn, err := nats.Connect(ctx, cfg, nil)
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	b.start()
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.stop()
	cancel()
	if _, err := nats.Connect(ctx, cfg, nil); err == nil {
		t.Error("connected although the context has ended")
	}
	b.start()
}

// A JetStream domain has its own API prefix.
func TestAJetStreamDomain(t *testing.T) {
	t.Parallel()
	b := startBroker(t, func(o *server.Options) { o.JetStreamDomain = "hub" })
	q := &testQueue{broker: b, cfg: b.config()}
	q.conn = b.connect(q.cfg)
	b.setUp(q.conn, q.cfg)
	q.publish(10, 10)
	q.cfg.Domain = "hub"
	p := q.startPod()
	if got := p.source.Conn().APIPrefix(); got != "$JS.hub.API." {
		t.Errorf("API prefix %q", got)
	}
	p.drain(10)
	q.pending(0, 0)
	p.stop()

	q.cfg.Domain = ""
	q.cfg.APIPrefix = "$JS.hub.API"
	q.publish(10, 10)
	p = q.startPod()
	p.drain(10)
	p.stop()
}

func TestConfigNamesEveryContradiction(t *testing.T) {
	t.Parallel()
	cfg := nats.DefaultConfig()
	cfg.Stream, cfg.Durable = "LOGS", "flushline"
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	bad := nats.Config{
		Server:  nats.Server{Domain: "a", APIPrefix: "b", User: "u", NKey: "n", TLS: nats.TLSConfig{Cert: "c"}},
		AckWait: time.Second, ConnectTimeout: -1, Stream: "LOGS",
		Consumers: []nats.Consumer{
			{Stream: "a.b", Durable: ""},
			{Stream: "S", Durable: "d", Subjects: []string{"logs.>.web", "logs..a", "a.*.b.>"}},
			{Stream: "S", Durable: "d", Subjects: []string{"logs*"}},
		},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"url is missing", "consumers excludes stream", "ack_wait is 1s: at least 6s", "max_pods is 0",
		"connect_timeout", "domain and api_prefix", "tls.cert and tls.key", "exclude each other",
		`consumers[0]: stream "a.b"`, "consumers[0]: durable is missing", "S/d is listed twice",
		`consumers[1].subjects[0] "logs.>.web": > must be the last part`, `consumers[1].subjects[1] "logs..a" has an empty part`,
		`consumers[2].subjects[0] "logs*": * and > stand for whole parts`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
}

// The client library ignores a scheme it does not know and dials all the same.
func TestURLsAreThoseOfNATSServers(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"a:4222,nats://b:1, tls://me:pw@c,wss://d/path": "",
		"http://me:s3cret@a:4222":                       `url "http://***@a:4222" is not one of a NATS server: write nats://a:4222`,
		"nats://a,nats://me:s3cret@:4222":               `url "nats://***@:4222" is no address`,
		"nats://me:s3cret@a:port":                       `url "nats://***@a:port" is no address`,
	} {
		cfg := nats.DefaultConfig()
		cfg.URL, cfg.Stream, cfg.Durable = url, "LOGS", "flushline"
		err := cfg.Validate()
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v\ndoes not say %q", url, err, want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: the error shows the password: %v", url, err)
		}
	}
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate writes name.pem and name.key, signed by the given authority or by
// itself.
func certificate(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        ca == nil, BasicConstraintsValid: true,
	}
	if ca == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
	return cert, key
}

func TestAQuestionEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	conn := b.connect(b.config())
	asked := make(chan struct{})
	if _, err := conn.NATS().Subscribe(conn.APIPrefix()+"NOBODY.ANSWERS", func(*natsgo.Msg) { close(asked) }); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- conn.Ask(t.Context(), "NOBODY.ANSWERS", nil, nil) }()
	<-asked
	b.stop()
	select {
	case err := <-failed:
		if !errors.Is(err, natsgo.ErrDisconnected) || !nats.Away(err) {
			t.Errorf("it says %v", err)
		}
	case <-time.After(9 * time.Second):
		t.Error("it waits for an answer that cannot come")
	}
}

// A server that goes away while a worker begins is asked again when it is back; one
// that stays away is given up with connect_timeout.
func TestAStartOutlastsAServerThatGoesAway(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	core, told := observer.New(zap.InfoLevel)
	open := func(patience time.Duration) *nats.Conn {
		cfg := *q.cfg
		cfg.ConnectTimeout = patience
		conn, err := nats.Connect(t.Context(), &cfg, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	patient, hasty := open(time.Minute), open(time.Second)
	q.stop()
	for _, conn := range []*nats.Conn{patient, hasty} {
		q.eventually(func() error {
			if conn.Connected() {
				return errors.New("still connected")
			}
			return nil
		})
	}
	verify := func(conn *nats.Conn) error {
		_, err := nats.Verify(t.Context(), conn, q.cfg.List()[0], q.cfg)
		return err
	}
	if err := verify(hasty); !nats.Away(err) || !strings.Contains(err.Error(), "gave up after") {
		t.Errorf("a server that stays away: %v", err)
	}
	asked := told.FilterMessage("asking nats again").Len()
	answered := make(chan error, 1)
	go func() { answered <- verify(patient) }()
	q.eventually(func() error {
		if told.FilterMessage("asking nats again").Len() == asked {
			return errors.New("nothing was asked again")
		}
		return nil
	})
	q.start()
	if err := <-answered; err != nil {
		t.Errorf("a server that came back: %v", err)
	}
}
