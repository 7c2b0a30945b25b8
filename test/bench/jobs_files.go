//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/protocol"
)

// lineFiles is how many files the lines are in: a number for which the hash gives two
// shards the same share.
const lineFiles = 512

// writeLines writes files of JSON lines, once.
func (j *jobsBench) writeLines() error {
	if j.tree != "" {
		return nil
	}
	tree := filepath.Join(j.dir, "lines")
	for i := range lineFiles {
		name := filepath.Join(tree, "bench", fmt.Sprintf("store-%03d", i), "c", "lines.jsonl.zst")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := writeLineFile(name, i, j.lines/lineFiles); err != nil {
			return err
		}
	}
	j.tree = tree
	return nil
}

func writeLineFile(name string, number, lines int) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	const batch = 100
	var buf []byte
	for n := 0; n < lines; n += batch {
		g := payloadGroup(batch)
		for i, l := range g.Logs {
			l.Contents[7].Value = fmt.Sprintf("%016x", uint64(number*lines+n+i)*0x9E3779B97F4A7C15) // does not compress
		}
		buf = protocol.AppendJSONLines(buf[:0], g)
		if _, err := z.Write(buf); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeTiny makes that many files of one line each. Most of them are further names
// of others, so that the disk need not hold them all.
func (j *jobsBench) writeTiny() (tree string, err error) {
	tree = filepath.Join(j.dir, "tiny")
	line := protocol.AppendJSONLines(nil, payloadGroup(1))
	const each = 1000
	for d := range j.tiny / each {
		dir := filepath.Join(tree, fmt.Sprintf("%04d", d))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		first := filepath.Join(dir, "0000.jsonl")
		if err := os.WriteFile(first, line, 0o644); err != nil {
			return "", err
		}
		for i := 1; i < each; i++ {
			if err := os.Link(first, filepath.Join(dir, fmt.Sprintf("%04d.jsonl", i))); err != nil {
				return "", err
			}
		}
	}
	return tree, nil
}
