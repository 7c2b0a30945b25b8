package kafka

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/compress/gzip"
	"github.com/segmentio/kafka-go/compress/zstd"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/kafka/producer"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// connect joins the producer of all instances that reach the same cluster as the same
// user and send in the same way.
func (f *Flusher) connect(c flushers.Context) (*producer.Producer, func(), error) {
	sasl, tls := f.identity()
	secret := sha256.Sum256([]byte(sasl.Password.Reveal()))
	options, err := json.Marshal([]any{
		f.Brokers, f.ClientID, sasl.Mechanism, sasl.User, secret[:], f.AllowPlainWithoutTLS, tls,
		f.Compression, f.CompressionLevel, f.BatchBytes, f.Timeout,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't tell connections apart: %w", err)
	}
	sum := sha256.Sum256(options)
	v, release, err := c.Shared("kafka:"+hex.EncodeToString(sum[:]), func() (io.Closer, error) {
		w := wire.Config{Brokers: f.Brokers, ClientID: f.ClientID, SASL: sasl, AllowPlainWithoutTLS: f.AllowPlainWithoutTLS}
		if tls != (wire.TLSConfig{}) {
			w.TLS = &tls
		}
		client, err := wire.NewClient(w)
		if err != nil {
			return nil, err
		}
		return producer.New(client, producer.Options{Codec: f.codec(), BatchBytes: int(f.BatchBytes), Patience: f.Timeout}), nil
	})
	if err != nil {
		return nil, nil, flushers.Misconfigured(fmt.Errorf("couldn't start the kafka flusher: %w", err))
	}
	p, ok := v.(*producer.Producer)
	if !ok {
		release()
		return nil, nil, fmt.Errorf("couldn't share the connections to %v: another kind uses their key with a %T", f.Brokers, v)
	}
	return p, release, nil
}

// codec is nil for batches that are not compressed.
func (f *Flusher) codec() compress.Codec {
	switch f.Compression {
	case "gzip":
		if f.CompressionLevel != 0 {
			return &gzip.Codec{Level: f.CompressionLevel}
		}
		return &compress.GzipCodec
	case "zstd":
		return &zstd.Codec{Level: f.CompressionLevel}
	case "snappy":
		return &compress.SnappyCodec
	case "lz4":
		return &compress.Lz4Codec
	}
	return nil
}
