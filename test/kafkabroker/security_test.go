package kafkabroker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/flushline/flushline/test/kafkabroker"
)

// TestAGuardedBroker asks one broker with all it can demand.
func TestAGuardedBroker(t *testing.T) {
	c := kafkabroker.Start(t, kafkabroker.Options{
		SASL: []string{kafkabroker.Plain, kafkabroker.ScramSHA256, kafkabroker.ScramSHA512},
		TLS:  true, ClientCerts: true, Authorizer: true,
	})
	c.CreateTopic(t, "guarded", 1, 0, nil)
	secret := kafkabroker.Password
	for _, m := range []struct {
		name  string
		login func(user, password string) sasl.Mechanism
	}{
		{kafkabroker.Plain, func(u, p string) sasl.Mechanism { return plain.Auth{User: u, Pass: p}.AsMechanism() }},
		{kafkabroker.ScramSHA256, func(u, p string) sasl.Mechanism { return scram.Auth{User: u, Pass: p}.AsSha256Mechanism() }},
		{kafkabroker.ScramSHA512, func(u, p string) sasl.Mechanism { return scram.Auth{User: u, Pass: p}.AsSha512Mechanism() }},
	} {
		t.Run(m.name, func(t *testing.T) {
			if err := read(t, c, kgo.SASL(m.login(kafkabroker.User, secret)), kgo.DialTLSConfig(trust(t, c, true))); err != nil {
				t.Errorf("with the right password: %v", err)
			}
			if err := read(t, c, kgo.SASL(m.login(kafkabroker.User, "guess")), kgo.DialTLSConfig(trust(t, c, true))); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("with a wrong password: %v", err)
			}
		})
	}
	login := kgo.SASL(plain.Auth{User: kafkabroker.Limited, Pass: secret}.AsMechanism())
	if err := read(t, c, login, kgo.DialTLSConfig(trust(t, c, false))); err == nil {
		t.Error("a client without a certificate got in")
	}
	if err := read(t, c, login, kgo.DialTLSConfig(trust(t, c, true))); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("the limited user before it was allowed: %v", err)
	}
	c.Allow(t, kafkabroker.Limited, kmsg.ACLResourceTypeTopic, "guarded", kmsg.ACLOperationDescribe)
	if err := read(t, c, login, kgo.DialTLSConfig(trust(t, c, true))); err != nil {
		t.Errorf("the limited user after it was allowed: %v", err)
	}
}

// read asks what there is to know of the topic, as an outside client.
func read(t *testing.T, c *kafkabroker.Cluster, opts ...kgo.Opt) error {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.Bootstrap()...), kgo.RequestRetries(0), kgo.DisableClientMetrics())...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("guarded")
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

func trust(t *testing.T, c *kafkabroker.Cluster, own bool) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(c.Certs().CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if own {
		pair, err := tls.LoadX509KeyPair(c.Certs().Client, c.Certs().Key)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
