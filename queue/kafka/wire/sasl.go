package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/xdg-go/scram"
)

var (
	saslHandshake    = api{protocol.SaslHandshake, 1}
	saslAuthenticate = api{protocol.SaslAuthenticate, 1}
)

// auth signs new connections in as one user.
type auth struct {
	mechanism string                 // as Kafka spells it
	hash      scram.HashGeneratorFcn // nil: PLAIN
	user      string
	password  string
}

// newAuth is nil without a mechanism.
func newAuth(cfg *Config) (*auth, error) {
	s := &cfg.SASL
	a := &auth{mechanism: strings.ToUpper(s.Mechanism), user: s.User, password: s.Password.Reveal()}
	switch a.mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		if cfg.TLS == nil && !cfg.AllowPlainWithoutTLS {
			return nil, fmt.Errorf("%w: sasl.mechanism plain would send the password readable to everybody on the way: configure tls, or set allow_plain_without_tls", ErrConfig)
		}
	case "SCRAM-SHA-256":
		a.hash = scram.SHA256
	case "SCRAM-SHA-512":
		a.hash = scram.SHA512
	default:
		return nil, fmt.Errorf("%w: sasl.mechanism %q is not known: write plain, scram-sha-256 or scram-sha-512", ErrConfig, s.Mechanism)
	}
	if a.user == "" {
		return nil, fmt.Errorf("%w: sasl.user is missing", ErrConfig)
	}
	return a, nil
}

func (a *auth) signIn(conn *conn, client string) error {
	if err := a.agree(conn, client); err != nil {
		return err
	}
	say := func(words []byte) ([]byte, error) { return a.say(conn, client, words) }
	if a.hash == nil {
		_, err := say([]byte("\x00" + a.user + "\x00" + a.password))
		return err
	}
	// Kafka takes user and password as their UTF-8 bytes. What the library makes of
	// them is not kept: it remembers each salt, and those are the broker's to choose.
	user, err := a.hash.NewClientUnprepped(a.user, a.password, "")
	if err != nil {
		return err
	}
	return prove(user.NewConversation(), say)
}

// maxIterations bounds what a broker can make us compute; Kafka stores 4096 to 16384.
const maxIterations = 1 << 20

// prove has the two sides prove to each other that they know the password.
func prove(c *scram.ClientConversation, say func([]byte) ([]byte, error)) error {
	for heard := ""; ; {
		if n := iterations(heard); n > maxIterations {
			return fmt.Errorf("its SCRAM challenge asks for %d iterations", n)
		}
		words, err := c.Step(heard)
		switch {
		case err != nil && c.Done():
			return fmt.Errorf("it did not prove that it knows the password, and may be no broker of this cluster: %w", err)
		case err != nil:
			return fmt.Errorf("its SCRAM challenge cannot be answered: %w", err)
		case c.Done():
			return nil
		}
		reply, err := say([]byte(words))
		if err != nil {
			return err
		}
		heard = string(reply)
	}
}

// iterations is what a challenge asks for; 0 if it cannot be read, which is left to
// the library to say.
func iterations(challenge string) int {
	n := 0
	for field := range strings.SplitSeq(challenge, ",") {
		if count, is := strings.CutPrefix(field, "i="); is {
			asked, _ := strconv.Atoi(count)
			n = max(n, asked)
		}
	}
	return n
}

// agree picks the mechanism; if the broker does not offer it, the error lists what
// it does offer.
func (a *auth) agree(conn *conn, client string) error {
	d, err := talk(conn, saslHandshake, client, func(e *encoder) { e.str(a.mechanism) })
	if err != nil {
		return err
	}
	verdict := d.code()
	offered := d.strs()
	switch bad := d.end(); {
	case bad != nil:
		return bad
	case errors.Is(verdict, kafka.UnsupportedSASLMechanism):
		return fmt.Errorf("%w: it offers %s", verdict, strings.Join(offered, ", "))
	}
	return verdict
}

// say sends the words of the mechanism and returns the broker's. A session that
// ends is left a little early: the broker would close it under a request.
func (a *auth) say(conn *conn, client string, words []byte) ([]byte, error) {
	d, err := talk(conn, saslAuthenticate, client, func(e *encoder) { e.bytes(words) })
	if err != nil {
		return nil, err
	}
	verdict := d.verdict()
	reply := d.bytes()
	if lifetime := time.Duration(d.int64()) * time.Millisecond; lifetime > 0 {
		conn.expires = time.Now().Add(lifetime * 9 / 10)
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return reply, verdict
}
