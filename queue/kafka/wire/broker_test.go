package wire_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// TestSecuredBrokerExplainsItself meets one real broker with every mistake of TLS
// and SASL that people make.
func TestSecuredBrokerExplainsItself(t *testing.T) {
	b := kafkabroker.Start(t, kafkabroker.Options{TLS: true, SASL: []string{kafkabroker.Plain, kafkabroker.ScramSHA512}})
	trust := wire.TLSConfig{CA: b.Certs().CA}
	user := func(mechanism, password string) wire.SASLConfig {
		return wire.SASLConfig{Mechanism: mechanism, User: kafkabroker.User, Password: option.NewSecret(password)}
	}
	good := user("scram-sha-512", kafkabroker.Password)
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		brokers string
		tls     *wire.TLSConfig
		sasl    wire.SASLConfig
		code    kafka.Error
		says    string
		advice  string
	}{
		{name: "scram", tls: &trust, sasl: good},
		{name: "plain", tls: &trust, sasl: user("plain", kafkabroker.Password)},
		{name: "wrong password", tls: &trust, sasl: user("scram-sha-512", "guess"), code: kafka.SASLAuthenticationFailed, says: "not signed in", advice: "sasl.password"},
		{name: "wrong password, plain", tls: &trust, sasl: user("plain", "guess"), code: kafka.SASLAuthenticationFailed, says: "not signed in", advice: "sasl.password"},
		{name: "mechanism not offered", tls: &trust, sasl: user("scram-sha-256", kafkabroker.Password), code: kafka.UnsupportedSASLMechanism, says: "SCRAM-SHA-512", advice: "sasl.mechanism"},
		{name: "no sasl", tls: &trust, says: "no answer after the handshake", advice: "fill sasl"},
		{name: "no tls", sasl: good, says: "no answer to the first request", advice: "fill tls"},
		{name: "unknown ca", tls: &wire.TLSConfig{CA: b.Certs().OtherCA}, sasl: good, says: "no TLS connection", advice: "tls.ca"},
		{name: "system's authorities", tls: &wire.TLSConfig{Enabled: true}, sasl: good, says: "no TLS connection", advice: "tls.ca"},
		{name: "wrong host", tls: &wire.TLSConfig{CA: b.Certs().CA, ServerName: "kafka.example"}, sasl: good, says: "no TLS connection", advice: "tls.server_name"},
		{name: "any certificate", tls: &wire.TLSConfig{InsecureSkipVerify: true}, sasl: good},
		{name: "other name of the broker", brokers: "localhost:" + port, tls: &trust, sasl: good},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.brokers == "" {
				test.brokers = b.Addr()
			}
			c := client(t, wire.Config{Brokers: []string{test.brokers}, TLS: test.tls, SASL: test.sasl})
			_, err := c.Metadata(within(t, 20*time.Second), []string{})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Log(err, "|", wire.Advice(err))
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.brokers) {
				t.Errorf("the error is %v, without %q", err, test.says)
			}
			if got := wire.Advice(err); !strings.Contains(got, test.advice) {
				t.Errorf("the advice is %q, without %q", got, test.advice)
			}
			if code, _ := wire.Code(err); code != test.code {
				t.Errorf("the code is %d", code)
			}
		})
	}
}
