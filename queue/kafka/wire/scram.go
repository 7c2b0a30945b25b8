package wire

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// maxIterations bounds what a broker can make us compute; Kafka stores up to 16384.
const maxIterations = 1 << 20

// scram is RFC 5802 as Kafka speaks it: no channel binding, and user and password
// as their UTF-8 bytes.
func (a *auth) scram(say func([]byte) ([]byte, error)) error {
	return a.scramWith(rand.Text(), say)
}

func (a *auth) scramWith(nonce string, say func([]byte) ([]byte, error)) error {
	first := "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(a.user) + ",r=" + nonce
	challenge, err := say([]byte("n,," + first))
	if err != nil {
		return err
	}
	c, err := parseChallenge(string(challenge), nonce)
	if err != nil {
		return err
	}
	final := "c=biws,r=" + c.nonce
	signed := first + "," + string(challenge) + "," + final
	proof, signature, err := a.prove(c, signed)
	if err != nil {
		return err
	}
	verdict, err := say([]byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)))
	if err != nil {
		return err
	}
	return checkSignature(string(verdict), signature)
}

type challenge struct {
	nonce      string
	salt       []byte
	iterations int
}

func parseChallenge(text, nonce string) (c challenge, err error) {
	fields := strings.Split(text, ",")
	if len(fields) < 3 || !strings.HasPrefix(fields[0], "r="+nonce) || fields[0] == "r="+nonce {
		return c, errors.New("its SCRAM challenge does not belong to our request")
	}
	c.nonce = fields[0][2:]
	salt, salted := strings.CutPrefix(fields[1], "s=")
	count, counted := strings.CutPrefix(fields[2], "i=")
	c.salt, err = base64.StdEncoding.DecodeString(salt)
	n, bad := strconv.Atoi(count)
	if !salted || !counted || err != nil || bad != nil {
		return c, errors.New("its SCRAM challenge cannot be read")
	}
	if n < 1 || n > maxIterations {
		return c, fmt.Errorf("its SCRAM challenge asks for %d iterations", n)
	}
	c.iterations = n
	return c, nil
}

// prove computes the client's proof and the signature the server has to show.
func (a *auth) prove(c challenge, signed string) (proof, signature []byte, err error) {
	h := sha512.New
	if a.mechanism == "SCRAM-SHA-256" {
		h = sha256.New
	}
	salted, err := pbkdf2.Key(h, a.password, c.salt, c.iterations, h().Size())
	if err != nil {
		return nil, nil, err
	}
	key := mac(h, salted, "Client Key")
	stored := h()
	stored.Write(key)
	proof = mac(h, stored.Sum(nil), signed)
	subtle.XORBytes(proof, proof, key)
	return proof, mac(h, mac(h, salted, "Server Key"), signed), nil
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// checkSignature refuses a broker that does not know the password either.
func checkSignature(text string, want []byte) error {
	got, signed := strings.CutPrefix(strings.Split(text, ",")[0], "v=")
	sum, err := base64.StdEncoding.DecodeString(got)
	if !signed || err != nil || !hmac.Equal(sum, want) {
		return errors.New("it did not prove that it knows the password: it may be no broker of this cluster")
	}
	return nil
}
