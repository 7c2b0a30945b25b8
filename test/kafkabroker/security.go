package kafkabroker

import (
	"fmt"
	"strings"
)

// The users of a cluster with SASL, and their passwords.
const (
	User     = "flushline" // may everything, also with an Authorizer
	Limited  = "limited"   // may only what [Cluster.Allow] grants, with an Authorizer
	Password = "correct horse battery staple"
)

// The mechanisms of SASL that a cluster may offer.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// secured says that clients have a listener of their own.
func (o *Options) secured() bool { return len(o.SASL) > 0 || o.TLS }

// protocol is what clients speak.
func (o *Options) protocol() string {
	switch {
	case len(o.SASL) > 0 && o.TLS:
		return "SASL_SSL"
	case len(o.SASL) > 0:
		return "SASL_PLAINTEXT"
	case o.TLS:
		return "SSL"
	}
	return "PLAINTEXT"
}

func (c *Cluster) protocols() string {
	return fmt.Sprintf("%s:PLAINTEXT,%s:PLAINTEXT,%s:%s", controllerListener, internalListener, clientListener, c.options.protocol())
}

// security is what the listener of clients asks of them. The internal listener
// stays open, as the anonymous user who may everything.
func (c *Cluster) security() map[string]string {
	s := make(map[string]string)
	o := &c.options
	listener := "listener.name." + strings.ToLower(clientListener) + "."
	if len(o.SASL) > 0 {
		s["sasl.enabled.mechanisms"] = strings.Join(o.SASL, ",")
		s[listener+"sasl.enabled.mechanisms"] = strings.Join(o.SASL, ",")
		for _, m := range o.SASL {
			s[listener+strings.ToLower(m)+".sasl.jaas.config"] = jaas(m)
		}
	}
	if o.TLS {
		s[listener+"ssl.keystore.type"] = "PEM"
		s[listener+"ssl.keystore.location"] = c.certs.Server
		s[listener+"ssl.truststore.type"] = "PEM"
		s[listener+"ssl.truststore.location"] = c.certs.CA
		s[listener+"ssl.client.auth"] = "none"
		if o.ClientCerts {
			s[listener+"ssl.client.auth"] = "required"
		}
	}
	if o.Authorizer {
		s["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		s["super.users"] = "User:ANONYMOUS;User:" + User
	}
	return s
}

// jaas is the login of one mechanism; SCRAM's users are made when the storage is
// formatted.
func jaas(mechanism string) string {
	if mechanism != Plain {
		return "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
	return fmt.Sprintf("org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=%q user_%s=%q;", User, Password, Limited, Password)
}

// scramUsers are the arguments that make the users of SCRAM.
func (o *Options) scramUsers() []string {
	var args []string
	for _, m := range o.SASL {
		if m == Plain {
			continue
		}
		for _, user := range []string{User, Limited} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", m, user, Password))
		}
	}
	return args
}
