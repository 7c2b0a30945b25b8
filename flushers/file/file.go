// Package file is the flusher that writes logs to files below one directory. A
// Flush returns when its data, its file's name and the directories above are
// synced to the disk.
//
// # Names
//
// The option path is a template. Values in it are made safe for every file
// system: bytes outside A-Z a-z 0-9 . _ - become %XX, an empty value "_", and a
// component longer than the limit ends with a hash. Before the extension stand
// the worker's host name, as several workers may share a directory, and a number:
//
//	archive/{project}/{logstore}.jsonl  ->  archive/shop/orders.worker-0.000001.jsonl
//
// {date:...} is the date of each log, so that one Flush may write several files;
// with format loggroup it is the date of the group's first log.
//
// # After a crash
//
// A worker goes on with the newest file of its own. What a crash left half
// written at its end was never acknowledged and is cut off. A file that is not
// what this flusher writes, is locked by another process, or failed to sync is
// left alone, and the next number begins. Compressed files consist of one frame
// or member for each Flush, which every zstd and gzip reader takes as one stream.
//
// # A full disk
//
// What was written in part is cut off again and the Flush fails, to be tried
// again. The flusher is unready for five seconds then. It does not ask the file
// system for free space: quotas, reserved blocks and inodes make the answer
// wrong; the next write is the test.
package file

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

const summary = "Writes logs to files as JSON lines or LogGroup frames, synced before they are acknowledged."

// Kind is the kind "file".
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "file",
		Summary:       summary,
		New:           func() flushers.Flusher { return newFlusher() },
		NoRetain:      true,
		TestedAgainst: "ext4, tmpfs",
		Docs:          docs(),
	}
}

// The values of the option format.
const (
	FormatJSONLines = "jsonl"
	FormatLogGroup  = "loggroup"
)

func newFlusher() *Flusher {
	return &Flusher{Root: noRoot, Format: FormatJSONLines, JSON: formats.DefaultJSON(), MaxSize: 256 << 20, OpenFiles: 512, wrap: asFile, syncDir: syncDir}
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	Path        protocol.Template `option:"path,required" alias:"FilePath" help:"Template of the file's path below root; the host and a number are put before the extension." example:"archive/{project}/{logstore}/{date:2006-01-02}.jsonl"`
	Root        string            `option:"root" help:"Directory that no file leaves, symbolic links included. It must exist. Without it an absolute path is taken apart: its directories before the first placeholder are the root." example:"/var/lib/flushline"`
	Format      string            `option:"format" enum:"jsonl,loggroup" help:"jsonl: a JSON object a line and log. loggroup: frames with the LogGroup's protobuf, its key and its id, which backfill reads."`
	Compression string            `option:"compression" enum:"none,gzip,zstd" help:"One member or frame for each Flush. Default: by the suffix of path, .gz or .zst; a path without one gets it."`
	MaxSize     option.Bytes      `option:"max_size" alias:"MaxFileSize" min:"1" help:"A file that would become larger is closed and the next number begun. A Flush is never split."`
	MaxAge      time.Duration     `option:"max_age" min:"0s" help:"A file older than this is closed at the next Flush; 0s: never." example:"1h"`
	Host        string            `option:"host" help:"Name of this worker in file names and for {host}. Default: the host name, which in Kubernetes is the pod's."`
	OpenFiles   int               `option:"open_files" min:"1" help:"Files that the process keeps open, over all entries; the smallest value counts, and never more than a quarter of the limit of the process (ulimit -n). The one unused for longest is closed for another."`
	formats.JSON

	layout  layout
	shape   *protocol.JSONShape
	store   *store
	vol     *volume
	key     protocol.Key
	fixed   string // the rendered path, if no log can change it
	release func()
	runtime context.Context
	log     *zap.Logger
	wrap    func(*os.File) file
	syncDir func(root *os.Root, dir string) error
}

// Init opens the root directory. It creates no file: the first Flush does.
func (f *Flusher) Init(c flushers.Context) error {
	if problems := f.Validate(); option.Failed(problems) {
		p := &problems[0]
		return flushers.Misconfigured(fmt.Errorf("couldn't start the file flusher: %s: %s", p.Path, p.Text()))
	}
	f.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	f.runtime, f.log = c.GetRuntimeContext(), c.Logger()
	if err := f.prepare(); err != nil {
		return flushers.Misconfigured(err)
	}
	v, release, err := c.Shared("file", func() (io.Closer, error) { return newStore(f.wrap, f.syncDir), nil })
	if err != nil {
		return err
	}
	st, ok := v.(*store)
	if !ok {
		release()
		return fmt.Errorf("couldn't share the open files: another kind uses their key with a %T", v)
	}
	f.store, f.release = st, release
	if f.vol, err = st.volume(f.Root, f.OpenFiles); err != nil {
		release()
		return flushers.Misconfigured(err)
	}
	return nil
}

// prepare settles what the options leave open.
func (f *Flusher) prepare() error {
	if f.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("couldn't find the host name for file names; set host: %w", err)
		}
		f.Host = host
	}
	root, below, err := f.located()
	if err != nil {
		return fmt.Errorf("couldn't place the files: %w", err)
	}
	f.Path = *below
	if f.Root, err = filepath.Abs(root); err != nil {
		return fmt.Errorf("couldn't find the directory %q: %w", root, err)
	}
	f.shape = f.JSON.Compile(false)
	f.layout = layout{
		frames:  f.Format == FormatLogGroup,
		maxSize: int64(f.MaxSize),
		maxAge:  f.MaxAge,
		host:    safeHost(f.Host),
	}
	f.layout.encoding, err = f.encoding()
	if err != nil {
		return err
	}
	if f.Path.Uses("date") || f.Path.Uses("tag") || f.Path.Uses("content") {
		return nil
	}
	f.fixed, err = f.render(nil, nil)
	return err
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false for five seconds after the disk was full.
func (f *Flusher) IsReady(string, string, int64) bool { return !f.vol.full() }

// Flush writes the groups; frames then carry no id.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{
		Project: project, Logstore: logstore, Config: config, Groups: groups,
	})
}

// FlushBatch writes the batch. Lanes that write one file at a time share its
// sync. When only some of its files failed, the error names their groups.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	pieces, failed := f.split(b)
	for _, p := range pieces {
		if mutant.On(mutant.FileEarly) {
			go func() { _ = f.write(context.WithoutCancel(ctx), p) }()
			continue
		}
		if err := f.write(ctx, p); err != nil {
			for _, i := range p.groups {
				failed[i] = err
			}
		}
	}
	return verdict(failed, len(b.Groups))
}

func (f *Flusher) write(ctx context.Context, p *piece) error {
	data := p.data
	if f.layout.encoding != protocol.EncodingNone && len(data) > 0 {
		var err error
		if data, err = protocol.Compress(nil, data, f.layout.encoding); err != nil {
			return err
		}
	}
	s := f.store.use(f.vol, p.path, f.layout)
	defer f.store.done(s)
	if err := s.append(ctx, data, f.log); err != nil {
		return fmt.Errorf("couldn't write to %s: %w", filepath.Join(f.Root, filepath.FromSlash(p.path)), err)
	}
	return nil
}

// SetUrgent changes nothing: nothing is ever held back.
func (f *Flusher) SetUrgent(bool) {}

// Stop leaves the shared files. The last one to leave closes them.
func (f *Flusher) Stop() error {
	f.release()
	return nil
}
