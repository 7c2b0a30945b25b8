package cmd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs are the compressions of batches that collectors' Kafka flushers have.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// collect CODEC TOPIC FILE [HEADER=VALUE...]: puts a file of the golden bytes of
// collectors (or, if there is none of that name, of the story) on a topic as one
// record, in a batch that is compressed so. time=RFC3339 is the record's timestamp.
func collect(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: collect CODEC TOPIC FILE [HEADER=VALUE...]")
	}
	value, err := os.ReadFile(filepath.Join(ts.Getenv("REPOSITORY"), "protocol", "testdata", "collectors", args[2]))
	if os.IsNotExist(err) {
		value, err = os.ReadFile(ts.MkAbs(args[2]))
	}
	ts.Check(err)
	r := &kgo.Record{Topic: args[1], Value: value}
	for _, h := range args[3:] {
		key, text, _ := strings.Cut(h, "=")
		if key == "time" {
			r.Timestamp, err = time.Parse(time.RFC3339, text)
			ts.Check(err)
			continue
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(text)})
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("KAFKA")), kgo.ProducerBatchCompression(codecs[args[0]]))
	ts.Check(err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(cl.ProduceSync(ctx, r).FirstErr())
}

// recipe FILE: writes the configuration that docs/ILOGTAIL.md shows, with the
// story's broker and addresses.
func recipe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: recipe FILE")
	}
	doc, err := os.ReadFile(filepath.Join(ts.Getenv("REPOSITORY"), "docs", "ILOGTAIL.md"))
	ts.Check(err)
	_, block, found := strings.Cut(string(doc), "```yaml\n# flushline.yaml\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed || strings.Count(block, "127.0.0.1:9092") != 1 {
		ts.Fatalf("docs/ILOGTAIL.md shows no flushline.yaml with one broker")
	}
	block = strings.Replace(block, "127.0.0.1:9092", ts.Getenv("KAFKA"), 1)
	block += "admin: {listen: " + ts.Getenv("ADMIN") + "}\nmetrics: {listen: " + ts.Getenv("METRICS") + "}\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(block), 0o600))
}
