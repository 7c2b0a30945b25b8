package kafka

import (
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Authentication is iLogtail's block for sasl and tls.
type Authentication struct {
	PlainText *User  `option:"plain_text" help:"sasl: {mechanism: plain, ...}."`
	SASL      *SASL  `option:"sasl" alias:"SASL" help:"sasl."`
	TLS       *Trust `option:"tls" alias:"TLS" help:"tls."`
}

// User is iLogtail's name and password of a user.
type User struct {
	Username string        `option:"username" help:"sasl.user."`
	Password option.Secret `option:"password" help:"sasl.password."`
}

// SASL is iLogtail's user with the mechanism.
type SASL struct {
	SaslMechanism string        `option:"sasl_mechanism" help:"sasl.mechanism."`
	Username      string        `option:"username" help:"sasl.user."`
	Password      option.Secret `option:"password" help:"sasl.password."`
}

// Trust is iLogtail's block for TLS.
type Trust struct {
	Enabled            bool   `option:"enabled" help:"tls.enabled."`
	CAFile             string `option:"ca_file" alias:"CAFile" help:"tls.ca."`
	CertFile           string `option:"cert_file" help:"tls.cert."`
	KeyFile            string `option:"key_file" help:"tls.key."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"tls.insecure_skip_verify."`
}

// ForeignKeys are those of the block that are no options here.
func (a *Authentication) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{{Name: "Kerberos", Refuse: true, Secret: true, Why: "brokers are asked with sasl: plain, scram-sha-256 or scram-sha-512; Kerberos is not spoken"}}
}

// ForeignKeys are those of the block that are no options here.
func (t *Trust) ForeignKeys() []option.ForeignKey {
	const versions = "TLS 1.2 and newer is spoken"
	return []option.ForeignKey{{Name: "MinVersion", Why: versions}, {Name: "MaxVersion", Why: versions}}
}

func (a *Authentication) problems(f *Flusher) []option.Problem {
	if a == nil {
		return nil
	}
	var problems []option.Problem
	if (a.PlainText != nil || a.SASL != nil) && f.SASL.Mechanism != "" || a.PlainText != nil && a.SASL != nil {
		problems = append(problems, option.Errorf("authentication", "two users are named: keep one of sasl, PlainText and SASL"))
	}
	if a.TLS != nil && f.TLS != (wire.TLSConfig{}) {
		problems = append(problems, option.Errorf("authentication", "tls says it, too: remove one"))
	}
	return problems
}

// identity is sasl and tls with what Authentication says.
func (f *Flusher) identity() (wire.SASLConfig, wire.TLSConfig) {
	sasl, tls, a := f.SASL, f.TLS, f.Authentication
	if a == nil {
		return sasl, tls
	}
	if u := a.PlainText; u != nil {
		sasl = wire.SASLConfig{Mechanism: "plain", User: u.Username, Password: u.Password}
	}
	if u := a.SASL; u != nil {
		sasl = wire.SASLConfig{Mechanism: strings.ToLower(u.SaslMechanism), User: u.Username, Password: u.Password}
	}
	if t := a.TLS; t != nil && t.Enabled {
		tls = wire.TLSConfig{Enabled: true, CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, InsecureSkipVerify: t.InsecureSkipVerify}
	}
	return sasl, tls
}

// ForeignKeys are those of iLogtail's flusher_kafka and flusher_kafka_v2 that are no
// options here.
func (f *Flusher) ForeignKeys() []option.ForeignKey {
	const (
		engine = "batches are the engine's: see batch of the entry, and batch_bytes"
		retry  = "nothing is given up here; when it is tried again says retry of the entry"
		user   = "write sasl: {mechanism: plain, user: NAME, password: SECRET}"
	)
	return []option.ForeignKey{
		{Name: "SASLUsername", Refuse: true, Why: user, Same: []string{""}},
		{Name: "SASLPassword", Refuse: true, Secret: true, Why: user, Same: []string{""}},
		{Name: "HashOnce", Refuse: true, Same: []string{"false"}, Why: "the key of the first record would be that of all others: remove it"},
		{Name: "Version", Why: "brokers of Apache Kafka 2.4 to 4.x are spoken to in the formats of 2.4"},
		{Name: "RequiredACKs", Same: []string{"-1"}, Why: "all replicas in sync confirm each record, always"},
		{Name: "RequiredAcks", Same: []string{"-1"}, Why: "all replicas in sync confirm each record, always"},
		{Name: "BrokerTimeout", Why: "timeout says how long a Flush may take, its wait for the replicas included"},
		{Name: "ChanBufferSize", Why: "there is no queue behind Flush; limits bounds memory"},
		{Name: "KeepAlive", Why: "connections that are idle for 10s are closed"},
		{Name: "MaxOpenRequests", Why: "a leader is asked one thing at a time, for all lanes together; concurrency lets one lane flush more at a time"},
		{Name: "BulkMaxSize", Why: engine},
		{Name: "BulkFlushFrequency", Why: engine},
		{Name: "MaxRetries", Why: retry},
		{Name: "Backoff", Why: retry},
		{Name: "Metadata", Why: "who leads what is asked when it is needed, and every 5 minutes"},
	}
}
