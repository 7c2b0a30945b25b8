package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file/logfile"
	"github.com/flushline/flushline/queue/job"
)

// filePast is files.
type filePast struct {
	env *jobEnv
	in  *logfile.Input
}

var _ pathPast = (*filePast)(nil)

func openFilePast(env *jobEnv) (past, error) {
	in, err := logfile.New(env.cfg.Source.File, int64(env.cfg.Limits.Decompressed))
	if err != nil {
		return nil, usage(err)
	}
	return &filePast{env, in}, nil
}

func (f *filePast) input() job.Input { return f.in }

// letters is never reached: a file source names where its letters go.
func (f *filePast) letters(context.Context) (queue.Sink, error) {
	return nil, usage(errors.New("there is no place for dead letters beside files: write dead_letter: {file: DIR}, or none"))
}

func (f *filePast) find(ctx context.Context, paths []string, of int) (*job.Plan, error) {
	return logfile.Find(ctx, f.env.cfg.Source.File, paths, of)
}

func (f *filePast) compare(ctx context.Context, paths []string, planned job.Slices, say func(string)) error {
	found, err := f.find(ctx, paths, f.env.opt.of)
	if err != nil {
		return err
	}
	d, err := logfile.Compare(planned, found.Slices)
	if err != nil {
		return err
	}
	if d.New > 0 {
		say(fmt.Sprintf("%s came after the job was planned and are not part of it: %s; backfill them as another job", counted(int(d.New), "file"), some(d.NewNames, d.New)))
	}
	var wrong []string
	if d.Changed > 0 {
		wrong = append(wrong, fmt.Sprintf("%s have changed: %s", counted(int(d.Changed), "file"), some(d.ChangedNames, d.Changed)))
	}
	if d.Missing > 0 {
		wrong = append(wrong, fmt.Sprintf("%s are gone: %s", counted(int(d.Missing), "file"), some(d.MissingNames, d.Missing)))
	}
	if len(wrong) > 0 {
		return &coded{exitIncomplete, fmt.Errorf("the job cannot go on with other files than it was planned with: %s; put them back, or begin another job with the files as they are now", strings.Join(wrong, "; "))}
	}
	return nil
}

func some(names []string, of int64) string {
	text := strings.Join(names, ", ")
	if more := of - int64(len(names)); more > 0 {
		text += fmt.Sprintf(" and %s more", number(more))
	}
	return text
}
