package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/kafka/wire"
)

var (
	_ flushers.Declares   = (*Flusher)(nil)
	_ flushers.Concurrent = (*Flusher)(nil)
	_ flushers.Hinter     = (*Flusher)(nil)
	_ flushers.Bounded    = (*Flusher)(nil)
	_ flushers.Placed     = (*Flusher)(nil)
)

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem {
	problems := f.Problems()
	if f.Convert != nil && f.Format == formats.LogGroup {
		problems = append(problems, option.Errorf("convert", "it is about JSON, and format is %s: write format: json (a record a log, as iLogtail does) or format: jsonl (a record a group, which is much cheaper)", f.Format))
	}
	for _, check := range []func() []option.Problem{
		f.validateBrokers, f.validateTopic, f.validateKey, f.validateHeaders, f.validateCompression,
	} {
		problems = append(problems, check()...)
	}
	return problems
}

func (f *Flusher) validateBrokers() []option.Problem {
	var problems []option.Problem
	if len(f.Brokers) == 0 {
		problems = append(problems, option.Errorf("brokers", "no broker is named: write [kafka-1:9092]"))
	}
	for i, b := range f.Brokers {
		if err := wire.CheckBroker(fmt.Sprintf("brokers[%d]", i), b); err != nil {
			problems = append(problems, option.Errorf(fmt.Sprintf("brokers[%d]", i), "%v", err))
		}
	}
	problems = append(problems, f.Authentication.problems(f)...)
	sasl, tls := f.identity()
	if err := wire.CheckIdentity(&sasl, &tls, f.AllowPlainWithoutTLS); err != nil {
		problems = append(problems, option.Errorf("sasl", "%v", err))
	}
	return problems
}

func (f *Flusher) validateTopic() []option.Problem {
	problems := names.Problems("topic", &f.Topic, f.Names, names.KafkaTopic)
	if f.wholeGroups() && ofLog(&f.Topic) {
		problems = append(problems, option.Errorf("topic", "%s", perLogOnly("content and date", f.Format)))
	}
	return problems
}

// wholeGroups says that a record holds a group.
func (f *Flusher) wholeGroups() bool { return f.Format != formats.OneJSON && f.Format != formats.Raw }

func perLogOnly(what, format string) string {
	return fmt.Sprintf("%s differ from log to log, and a record of format %s holds a whole group: use format json or raw, or fields of the group (tag.NAME)", what, format)
}

func (f *Flusher) validateKey() []option.Problem {
	var problems []option.Problem
	for i, text := range f.Key {
		path := fmt.Sprintf("key[%d]", i)
		if _, err := readField(text); err != nil {
			problems = append(problems, option.Errorf(path, "%v", err))
		} else if f.wholeGroups() && strings.HasPrefix(text, "content.") {
			problems = append(problems, option.Errorf(path, "%s", perLogOnly("contents", f.Format)))
		}
	}
	switch f.Partitioner {
	case "hash":
		if len(f.Key) == 0 {
			problems = append(problems, option.Errorf("partitioner", "hash needs a key: write which fields it is made of, such as key: [tag.app]"))
		}
	case "random", "roundrobin":
		if len(f.Key) > 0 {
			problems = append(problems, option.Errorf("partitioner", "%s has no use for a key, and records of one key that lie in several partitions are a trap for their readers: remove key, or write hash", f.Partitioner))
		}
	}
	return problems
}

func (f *Flusher) validateHeaders() []option.Problem {
	var problems []option.Problem
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		t := f.Headers[name]
		switch {
		case name == "":
			problems = append(problems, option.Errorf("headers", "a header has no name"))
		case ourHeader(name):
			problems = append(problems, option.Errorf("headers", "%s says what the record is and cannot be set", name))
		case f.wholeGroups() && ofLog(&t):
			problems = append(problems, option.Errorf("headers", "%s: %s", name, perLogOnly("content and date", f.Format)))
		}
	}
	return problems
}

func (f *Flusher) validateCompression() []option.Problem {
	most := map[string]int{"gzip": 9, "zstd": 22}[f.Compression]
	if f.CompressionLevel <= most {
		return nil
	}
	if most == 0 {
		return []option.Problem{option.Warnf("compression_level", "%s has no levels: it has no effect", f.Compression)}
	}
	return []option.Problem{option.Errorf("compression_level", "%s has levels up to %d", f.Compression, most)}
}

// passesOn says that the bytes of a group and its key are all that a record needs.
func (f *Flusher) passesOn() bool {
	if f.Format != formats.LogGroup || differs(&f.Topic) {
		return false
	}
	for _, name := range f.Key {
		if !slices.Contains(placed, name) {
			return false
		}
	}
	for _, t := range f.Headers {
		if differs(&t) {
			return false
		}
	}
	return true
}

// Bound is the option that flush_timeout may make useless.
func (f *Flusher) Bound() (name string, limit time.Duration) { return "timeout", f.Timeout }

// Place is the topic at its cluster, and what its records are.
func (f *Flusher) Place() (place, format string) {
	return "kafka " + strings.Join(f.Brokers, ",") + " " + f.Topic.String(), f.Format + " " + f.Shape
}

// Locate is the topic that logs of the key go to.
func (f *Flusher) Locate(project, logstore, config string) string {
	v := &protocol.TemplateVars{Key: protocol.Key{Project: project, Logstore: logstore, Config: config}, Host: "HOST"}
	return fmt.Sprintf("topic %s at %s", names.New(&f.Topic, f.Names, names.KafkaTopic).Locate(v), strings.Join(f.Brokers, ", "))
}
