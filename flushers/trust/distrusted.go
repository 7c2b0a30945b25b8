package trust

import (
	"crypto/tls"
	"errors"
	"net"
	nethttp "net/http"
	"strings"
)

// Distrusted finds the failures of TLS that no retry mends, which a kind returns as
// flushers.Misconfigured: we do not trust the server, it does not trust us, it does not
// speak TLS, or a file of ours cannot be used. Bytes that were damaged on their way are
// none of them.
func Distrusted(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	return ofFile(err) || errors.As(err, &verify) || errors.Is(err, nethttp.ErrSchemeMismatch) ||
		errors.As(err, &record) && record.Conn != nil || // its first words are no TLS
		errors.As(err, &op) && op.Op == "remote error" && !damaged(op.Err.Error()) // how crypto/tls names an alert
}

// damaged says that an alert is about bytes that were changed on their way, as
// crypto/tls words it.
func damaged(alert string) bool {
	for _, about := range []string{"bad record MAC", "error decrypting message", "error decoding message", "unexpected message", "record overflow"} {
		if strings.HasSuffix(alert, about) {
			return true
		}
	}
	return false
}
