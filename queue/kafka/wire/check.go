package wire

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// CheckBroker says what is wrong with an address of a configuration; path is where it
// stands.
func CheckBroker(path, addr string) error {
	if scheme, rest, found := strings.Cut(addr, "://"); found {
		return fmt.Errorf("%s %q begins with %s://: write %s, and the block tls for TLS", path, addr, scheme, rest)
	}
	host, port, err := net.SplitHostPort(addr)
	if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%s %q is no address: write host:port, such as kafka-1:9092", path, addr)
	}
	return nil
}

// CheckIdentity finds every contradiction between sasl and tls that can be seen without
// a broker and without reading a file.
func CheckIdentity(s *SASLConfig, t *TLSConfig, plainWithoutTLS bool) error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	known := []string{"", "plain", "scram-sha-256", "scram-sha-512"}
	bad(!slices.Contains(known, s.Mechanism), "sasl.mechanism %q is not known: write %s", s.Mechanism, strings.Join(known[1:], ", "))
	bad(s.Mechanism == "" && (s.User != "" || !s.Password.IsZero()), "sasl.mechanism is missing: write scram-sha-512, or what the brokers offer")
	bad(s.Mechanism != "" && s.User == "", "sasl.user is missing")
	bad(s.Mechanism == "plain" && *t == TLSConfig{} && !plainWithoutTLS,
		"sasl.mechanism plain would send the password readable to everybody on the way: configure tls, or set allow_plain_without_tls")
	bad((t.Cert == "") != (t.Key == ""), "tls.cert and tls.key go together")
	return errors.Join(errs...)
}
