//go:build unix

package e2e

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/test/kafkabroker"
)

// bytesChanged flips bits of what passes, wherever they fall, on each of the two ways.
// What is promised of it is promised of TLS: in plain text neither NATS nor HTTP has a
// checksum, and Kafka has one of records only.
func bytesChanged() []netFault {
	return way("bytes changed", func(p *netPlace) faultproxy.Fault {
		return faultproxy.Fault{Change: faultproxy.OneIn(8000, p.rand())}
	}, func(m faultproxy.Met) int64 { return m.Changed }, size(3*time.Second, 20*time.Second), false)
}

// trusting is the key of a configuration that trusts a server, at any address.
func trusting(c *certificate) string {
	return fmt.Sprintf(", tls: {ca: %q, server_name: example.com}", c.cert)
}

func netNATSChanged(t *testing.T, n *netRun) {
	p := n.place("nats over TLS")
	p.beforeNATS(t, startBrokerWith(t, &broker{tls: newCertificate(t)}))
	p.suffers(t, bytesChanged, 0)
}

func netKafkaChanged(t *testing.T, n *netRun) {
	p := n.place("kafka over TLS")
	p.beforeKafka(t, kafkabroker.Options{TLS: true})
	p.kafka.session = 12 * time.Second
	p.kafka.more = fmt.Sprintf(", tls: {ca: %q, server_name: localhost}", p.kafka.cluster.Certs().CA)
	p.suffers(t, bytesChanged, 0)
}

// netRecordsChanged has bytes of record batches changed in plain text: their checksum
// shows it, and they are fetched again.
func netRecordsChanged(t *testing.T, n *netRun) {
	p := n.place("kafka, records changed")
	p.beforeKafka(t, kafkabroker.Options{})
	p.kafka.session = 12 * time.Second
	p.suffers(t, func() []netFault {
		return []netFault{{
			name:  "records changed, to the client",
			begin: func(p *netPlace) { p.proxy.Set(faultproxy.ToClient, faultproxy.Fault{Change: spoilRecords(p.rand())}) },
			met:   func(p *faultproxy.Proxy) int64 { return p.Met(faultproxy.ToClient).Changed },
			lasts: 3 * time.Second,
		}}
	}, 0)
}

func netHTTPChanged(t *testing.T, n *netRun) {
	p := n.place("http over TLS")
	p.rig = newRig(t, false)
	secure := httptest.NewTLSServer(p.slow)
	t.Cleanup(secure.Close)
	p.proxy = faultproxy.New(t, secure.Listener.Addr().String(), p.rand())
	p.slow.url = "https://" + p.proxy.Addr()
	p.slow.more = trusting(certified(t, secure))
	p.suffers(t, bytesChanged, netWindow)
}

// spoilRecords flips a bit in one of four record batches (of version 2) that lie in a
// piece as a whole, in what their checksum is of. A batch that is damaged five times in
// a row is asked for every 30 s only.
func spoilRecords(rng *rand.Rand) func([]byte) int {
	table := crc32.MakeTable(crc32.Castagnoli)
	return func(piece []byte) int { return spoil(piece, table, func() bool { return rng.IntN(4) == 0 }) }
}

func spoil(piece []byte, table *crc32.Table, hit func() bool) (changed int) {
	const head, magic, crc, covered = 12, 16, 17, 21
	for i := 0; i+61 <= len(piece); i++ {
		length := int(binary.BigEndian.Uint32(piece[i+8:]))
		if piece[i+magic] != 2 || length < 61-head || i+head+length > len(piece) {
			continue
		}
		body := piece[i+covered : i+head+length]
		if crc32.Checksum(body, table) != binary.BigEndian.Uint32(piece[i+crc:]) {
			continue // these bytes only look like a batch
		}
		if hit() {
			body[len(body)/2] ^= 4
			changed++
		}
		i += head + length - 1
	}
	return changed
}
