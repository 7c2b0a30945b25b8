package trust

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/internal/testcert"
	"github.com/flushline/flushline/option"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func TestOptionTags(t *testing.T) {
	t.Parallel()
	if err := option.Check(&TLS{}); err != nil {
		t.Error(err)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, o := range []TLS{{Cert: "c.pem"}, {Key: "c.key"}} {
		if got := o.Problems("tls"); len(got) != 1 || got[0].Path != "tls.cert" {
			t.Errorf("%+v: %+v, want one about tls.cert", o, got)
		}
	}
	for _, o := range []TLS{{}, {Cert: "c.pem", Key: "c.key"}} {
		if got := o.Problems("tls"); len(got) != 0 {
			t.Errorf("%+v: %+v, want none", o, got)
		}
	}
}

// server takes connections that have a certificate of ours and says how its side of
// them went.
func server(t *testing.T, pair testcert.Pair, ours *testcert.Authority) (addr string, use func(testcert.Pair)) {
	t.Helper()
	current := make(chan tls.Certificate, 1)
	current <- pair.TLS(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := <-current
			current <- c
			return &c, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte{1}) // the handshake, and that it was well
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), func(p testcert.Pair) { <-current; current <- p.TLS(t) }
}

// reach makes a connection and waits until the server has taken it.
func reach(c *Client, addr string) error {
	config, err := c.Config("127.0.0.1")
	if err != nil {
		return err
	}
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Whatever is renewed on either side counts for the next connection, and trouble goes
// away with its cause.
func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second, ours := testcert.New(t), testcert.New(t), testcert.New(t)
	ca := testcert.Write(t, dir, "ca.pem", first.PEM)
	cert, key := ours.Issue(t).Write(t, dir, "ours")
	addr, use := server(t, first.Issue(t), ours)
	options := TLS{CA: ca, Cert: cert, Key: key}
	c, err := options.Client()
	if err != nil {
		t.Fatal(err)
	}
	want := func(step string, distrusted bool) {
		t.Helper()
		err := reach(c, addr)
		if (err != nil) != distrusted || err != nil && !Distrusted(err) {
			t.Errorf("%s: %v, distrusted %v", step, err, distrusted)
		}
	}
	want("at first", false)
	use(second.Issue(t))
	want("the server has a certificate of another authority", true)
	testcert.Write(t, dir, "ca.pem", append(append([]byte(nil), first.PEM...), second.PEM...))
	want("both authorities are trusted", false)
	testcert.Write(t, dir, "ca.pem", first.PEM)
	want("the new one is trusted no more", true)
	use(first.Issue(t))
	want("the server went back", false)
	first.Issue(t).Write(t, dir, "ours")
	want("our certificate is of an authority the server does not know", true)
	ours.Issue(t).Write(t, dir, "ours")
	want("our certificate was renewed", false)
	testcert.Write(t, dir, "ca.pem", []byte("no certificate"))
	want("the authorities cannot be read", true)
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	want("the authorities are gone", true)
	testcert.Write(t, dir, "ca.pem", first.PEM)
	want("they are back", false)
	testcert.Write(t, dir, "ours.key", ours.Issue(t).Key)
	want("certificate and key do not fit", true)
}

func TestTheNameOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := testcert.New(t)
	ca := testcert.Write(t, dir, "ca.pem", a.PEM)
	cert, key := a.Issue(t).Write(t, dir, "ours")
	addr, _ := server(t, a.Issue(t, "logs.example"), a)
	for _, tc := range []struct {
		name string
		skip bool
		well bool
	}{{"", false, false}, {"logs.example", false, true}, {"other.example", false, false}, {"other.example", true, true}} {
		o := TLS{CA: ca, Cert: cert, Key: key, ServerName: tc.name, InsecureSkipVerify: tc.skip}
		c, err := o.Client()
		if err != nil {
			t.Fatal(err)
		}
		if err := reach(c, addr); (err == nil) != tc.well || err != nil && !Distrusted(err) {
			t.Errorf("name %q, not verified %v: %v, want success %v", tc.name, tc.skip, err, tc.well)
		}
	}
}

func TestFilesThatCannotBeUsedAreToldAtTheStart(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []TLS{{CA: filepath.Join(t.TempDir(), "missing.pem")}, {CA: empty}, {Cert: empty, Key: empty}} {
		if _, err := o.Client(); !Distrusted(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if Distrusted(errors.New("something else")) || Distrusted(nil) {
		t.Error("what has nothing to do with TLS is distrusted")
	}
}
