package configs

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/worker"
)

// Table is what a running worker takes over of a file that changed.
func (c *Config) Table() worker.Table {
	w := c.Worker()
	return worker.Table{Routes: w.Routes, Removed: worker.Removal(c.Removed), Drain: w.Drain, StopAfter: w.DeadLetter.StopAfter}
}

// NeedsRestart is nil if a worker that runs by c can take over next. What it can is
// routes, removed, reload, log.level, dead_letter.stop_after, and drain.timeout
// unless the source is Kafka, whose group learns it when it is joined. The error
// names every other value that differs, with its line in the new file.
func (c *Config) NeedsRestart(next *Config) error {
	var d differences
	d.source(&c.Source, &next.Source)
	switch {
	case c.DeadLetter.None != next.DeadLetter.None:
		d.add("dead_letter")
	case c.DeadLetter.File != next.DeadLetter.File:
		d.add("dead_letter.file")
	}
	d.blocks("limits", c.Limits, next.Limits)
	if c.Source.Kafka != nil {
		d.blocks("drain", c.Drain, next.Drain)
	}
	d.blocks("admin", c.Admin, next.Admin)
	d.blocks("metrics", c.Metrics, next.Metrics)
	if c.Log.Format != next.Log.Format {
		d.add("log.format")
	}
	return d.err(next)
}

// differences are the paths of values that are not the same in two files.
type differences struct{ paths []string }

func (d *differences) add(path string) { d.paths = append(d.paths, path) }

func (d *differences) err(next *Config) error {
	if len(d.paths) == 0 {
		return nil
	}
	named := make([]string, len(d.paths))
	for i, path := range d.paths {
		named[i] = path
		if next.root == nil {
			continue
		}
		at := next.root.Place(option.Pos{Line: 1, Col: 1, Len: 1}, path)
		named[i] = fmt.Sprintf("%s (line %d)", path, at.Line)
	}
	verb := "needs"
	if len(named) > 1 {
		verb = "need"
	}
	return errors.New("nothing was changed: " + strings.Join(named, ", ") + " " + verb + " a restart")
}

func (d *differences) source(a, b *Source) {
	name, other := a.Queue(), b.Queue()
	if name != other {
		d.add("source")
		return
	}
	path := "source." + name
	switch {
	case a.Kafka != nil:
		d.blocks(path, *a.Kafka, *b.Kafka)
	case a.NATS != nil:
		d.blocks(path, *a.NATS, *b.NATS)
		d.strict(a.NATS.Strict, b.NATS.Strict)
	case a.Embedded != nil:
		d.blocks(path, *a.Embedded, *b.Embedded)
		d.strict(a.Embedded.Strict, b.Embedded.Strict)
	case a.File != nil:
		d.blocks(path, *a.File, *b.File)
	}
	d.value(path+".key", reflect.ValueOf(a.Key), reflect.ValueOf(b.Key))
	d.blocks(path+".decode", a.Decode, b.Decode)
}

// strict: the consumer was verified for one order, and hands out many messages at a
// time, or one.
func (d *differences) strict(a, b bool) {
	if a != b {
		d.add("routes")
	}
}

// Queue is the key of the block that the source has: nats, kafka, embedded or file.
func (s *Source) Queue() string {
	switch {
	case s.Kafka != nil:
		return "kafka"
	case s.NATS != nil:
		return "nats"
	case s.Embedded != nil:
		return "embedded"
	case s.File != nil:
		return "file"
	}
	return ""
}

// blocks compares two option structs field by field.
func (d *differences) blocks(path string, a, b any) {
	d.block(path, reflect.ValueOf(a), reflect.ValueOf(b))
}

func (d *differences) block(path string, a, b reflect.Value) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		tag, ok := f.Tag.Lookup("option")
		switch name, _, _ := strings.Cut(tag, ","); {
		case ok:
			d.value(path+"."+name, a.Field(i), b.Field(i))
		case f.Anonymous && f.IsExported() && f.Type.Kind() == reflect.Struct:
			d.block(path, a.Field(i), b.Field(i))
		}
	}
}

// value descends where both have a block, so that the innermost value is named.
func (d *differences) value(path string, a, b reflect.Value) {
	if a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
		a, b = a.Elem(), b.Elem()
	}
	if a.Kind() == reflect.Struct && hasOptions(a.Type()) {
		d.block(path, a, b)
		return
	}
	if !reflect.DeepEqual(a.Interface(), b.Interface()) {
		d.add(path)
	}
}

func hasOptions(t reflect.Type) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		if _, ok := f.Tag.Lookup("option"); ok || f.Anonymous && f.Type.Kind() == reflect.Struct && hasOptions(f.Type) {
			return true
		}
	}
	return false
}
