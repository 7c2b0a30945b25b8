package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(leak.Check(m.Run()))
}

var key = protocol.Key{Project: "shop", Logstore: "orders", Config: "c1"}

// lane starts an instance that stops with the test.
func lane(t testing.TB, p *flushertest.Process, k protocol.Key, set func(*Flusher)) *Flusher {
	t.Helper()
	f := newFlusher()
	f.Host = "pod-0"
	set(f)
	if err := f.Init(p.Context(t, k)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f.release != nil {
			stop(t, f)
		}
	})
	return f
}

func stop(t testing.TB, f *Flusher) {
	t.Helper()
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	f.release = nil
}

// at is the usual set function: a path below a directory.
func at(dir, path string) func(*Flusher) {
	return func(f *Flusher) {
		f.Root = dir
		if err := f.Path.UnmarshalText([]byte(path)); err != nil {
			panic(err)
		}
	}
}

func group(time uint32, msg string) *protocol.LogGroup {
	return &protocol.LogGroup{Topic: "t", Logs: []*protocol.Log{
		{Time: time, Contents: []*protocol.Log_Content{{Key: "msg", Value: msg}}},
	}}
}

func lines(groups ...*protocol.LogGroup) string {
	var b []byte
	for _, g := range groups {
		b = protocol.AppendJSONLines(b, g)
	}
	return string(b)
}

func flush(f *Flusher, groups ...*protocol.LogGroup) error {
	return f.Flush(f.key.Project, f.key.Logstore, f.key.Config, groups)
}

func mustFlush(t testing.TB, f *Flusher, groups ...*protocol.LogGroup) {
	t.Helper()
	if err := flush(f, groups...); err != nil {
		t.Fatal(err)
	}
}

// tree is every regular file below a directory, by its slash path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		files[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantTree(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestJSONLinesByTheDateOfTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, at(dir, "archive/{project}/{logstore}/{date:2006-01-02}.jsonl"))
	first, second := group(86_399, "last second"), group(86_400, "next day")
	both := &protocol.LogGroup{Source: "s", Logs: []*protocol.Log{first.Logs[0], second.Logs[0]}}
	mustFlush(t, f, first, both, &protocol.LogGroup{Topic: "no logs"})
	mustFlush(t, f, second)
	one := func(g *protocol.LogGroup, i int) string {
		return string(protocol.AppendJSONLog(nil, g, g.Logs[i])) + "\n"
	}
	wantTree(t, dir, map[string]string{
		"archive/shop/orders/1970-01-01.pod-0.000001.jsonl": one(first, 0) + one(both, 0),
		"archive/shop/orders/1970-01-02.pod-0.000001.jsonl": one(both, 1) + one(second, 0),
	})
}

func TestFramesCarryIDKeyAndUntouchedBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(dir, "{date:2006}/{logstore}.pb.zst")(f)
		f.Format = FormatLogGroup
	})
	a, b, empty := group(0, "a"), group(40_000_000, "b"), &protocol.LogGroup{}
	raw := [][]byte{append(a.AppendMarshal(nil), 0xf8, 0x01, 0x05), b.AppendMarshal(nil), nil}
	ids := []protocol.ID{{Origin: [16]byte{1}, Group: 7}, {Origin: [16]byte{2}}, {Origin: [16]byte{3}}}
	err := f.FlushBatch(t.Context(), &flushers.Batch{
		Project: key.Project, Logstore: key.Logstore, Config: key.Config,
		Groups: []*protocol.LogGroup{a, b, empty}, Raw: raw, IDs: ids,
	})
	if err != nil {
		t.Fatal(err)
	}
	files := tree(t, dir)
	want := map[string][]int{"1970/orders.pod-0.000001.pb.zst": {0, 2}, "1971/orders.pod-0.000001.pb.zst": {1}}
	for name, groups := range want {
		r := protocol.NewFrameReader(bytes.NewReader(plain(t, protocol.EncodingZstd, files[name])), 0)
		for _, i := range groups {
			frame, err := r.Next()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if frame.ID != ids[i] || frame.Key != key || !bytes.Equal(frame.Data, raw[i]) {
				t.Errorf("%s: frame %v %v %x, want that of group %d", name, frame.ID, frame.Key, frame.Data, i)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v after the last frame", name, err)
		}
	}
	if len(files) != len(want) {
		t.Errorf("%d files, want %d", len(files), len(want))
	}
}

func TestCompressionFollowsTheSuffix(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		path, compression, name string
		encoding                protocol.Encoding
	}{
		{"a.jsonl.gz", "", "a.pod-0.000001.jsonl.gz", protocol.EncodingGzip},
		{"a.jsonl.zst", "zstd", "a.pod-0.000001.jsonl.zst", protocol.EncodingZstd},
		{"a.jsonl", "gzip", "a.pod-0.000001.jsonl.gz", protocol.EncodingGzip},
		{"a.b/c", "zstd", "a.b/c.pod-0.000001.zst", protocol.EncodingZstd},
		{"2026.01.02", "none", "2026.01.02.pod-0.000001", protocol.EncodingNone},
	} {
		dir := t.TempDir()
		f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
			at(dir, tc.path)(f)
			f.Compression = tc.compression
		})
		mustFlush(t, f, group(1, "a"))
		mustFlush(t, f, group(2, "b"))
		got, ok := tree(t, dir)[tc.name]
		if !ok {
			t.Errorf("%s: got %v, want %s", tc.path, tree(t, dir), tc.name)
			continue
		}
		if text := plain(t, tc.encoding, got); string(text) != lines(group(1, "a"), group(2, "b")) {
			t.Errorf("%s holds %q", tc.name, text)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	line := lines(group(1, "a"))
	set := func(f *Flusher) {
		at(dir, "a.jsonl")(f)
		f.MaxSize = option.Bytes(2*len(line) + 1)
	}
	f := lane(t, new(flushertest.Process), key, set)
	for range 3 {
		mustFlush(t, f, group(1, "a"))
	}
	stop(t, f)
	f = lane(t, new(flushertest.Process), key, set) // goes on with the newest
	for range 2 {
		mustFlush(t, f, group(1, "a"))
	}
	huge := group(1, strings.Repeat("x", 3*len(line)))
	mustFlush(t, f, huge) // is never split
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": line + line,
		"a.pod-0.000002.jsonl": line + line,
		"a.pod-0.000003.jsonl": line,
		"a.pod-0.000004.jsonl": lines(huge),
	})
}

func TestRotationByAge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(dir, "a.jsonl")(f)
		f.MaxAge = 1 // a nanosecond: older at the next Flush
	})
	mustFlush(t, f, group(1, "a"))
	mustFlush(t, f, group(1, "b"))
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": lines(group(1, "a")),
		"a.pod-0.000002.jsonl": lines(group(1, "b")),
	})
}

func TestWorkersOfOneNameDoNotShareAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one := lane(t, new(flushertest.Process), key, at(dir, "a.jsonl"))
	mustFlush(t, one, group(1, "one"))
	two := lane(t, new(flushertest.Process), key, at(dir, "a.jsonl"))
	mustFlush(t, two, group(1, "two"))
	mustFlush(t, one, group(2, "one"))
	stop(t, two)
	three := lane(t, new(flushertest.Process), key, at(dir, "a.jsonl"))
	mustFlush(t, three, group(1, "three"))
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": lines(group(1, "one"), group(2, "one")),
		"a.pod-0.000002.jsonl": lines(group(1, "two"), group(1, "three")),
	})
}

func TestLanesOfOneFileAppendToIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var p flushertest.Process
	other := protocol.Key{Project: "shop", Logstore: "refunds"}
	mustFlush(t, lane(t, &p, key, at(dir, "{project}.jsonl")), group(1, "a"))
	mustFlush(t, lane(t, &p, other, at(dir, "{project}.jsonl")), group(1, "b"))
	wantTree(t, dir, map[string]string{"shop.pod-0.000001.jsonl": lines(group(1, "a"), group(1, "b"))})
}

func TestARemovedFileIsNotWrittenOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, at(dir, "a.jsonl"))
	mustFlush(t, f, group(1, "a"))
	if err := os.Rename(filepath.Join(dir, "a.pod-0.000001.jsonl"), filepath.Join(dir, "collected")); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, f, group(1, "b"))
	wantTree(t, dir, map[string]string{
		"collected":            lines(group(1, "a")),
		"a.pod-0.000002.jsonl": lines(group(1, "b")),
	})
}

func TestALogWithoutAPlaceIsPermanent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, at(dir, "{content.msg}.jsonl"))
	homeless := &protocol.LogGroup{Logs: []*protocol.Log{group(1, "a").Logs[0], {Time: 1}}}
	err := flush(f, group(1, "a"), homeless, group(1, "b"))
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 {
		t.Fatalf("Flush = %v, want a partial error for group 1", err)
	}
	if class, _ := flushers.Classify(partial.Failed[1]); class != flushers.ClassPermanent {
		t.Errorf("group 1: %v, want permanent", partial.Failed[1])
	}
	if class, _ := flushers.Classify(flush(f, homeless)); class != flushers.ClassPermanent {
		t.Errorf("alone: %v, want permanent", class)
	}
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": lines(group(1, "a")),
		"b.pod-0.000001.jsonl": lines(group(1, "b")),
	})
}

func TestOpenFilesAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const paths, limit, rounds = 20, 3, 3
	d := &disk{}
	var p flushertest.Process
	done := make(chan error)
	for i := range paths {
		f := lane(t, &p, protocol.Key{Project: fmt.Sprint(i)}, func(f *Flusher) {
			at(dir, "{project}.pb")(f)
			f.Format, f.OpenFiles, f.wrap = FormatLogGroup, limit, d.wrap
		})
		go func() {
			var err error
			for range rounds {
				err = errors.Join(err, flush(f, group(1, "x")))
			}
			done <- err
		}()
	}
	for range paths {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := d.most.Load(); got > limit {
		t.Errorf("%d files were open at a time, want at most %d", got, limit)
	}
	files := tree(t, dir)
	for name, content := range files {
		r := protocol.NewFrameReader(strings.NewReader(content), 0)
		for i := range rounds {
			if _, err := r.Next(); err != nil {
				t.Errorf("%s, frame %d: %v", name, i, err)
			}
		}
	}
	if len(files) != paths {
		t.Errorf("%d files, want %d: a file that was closed has to be continued", len(files), paths)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := option.Check(newFlusher()); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct{ path, compression, want string }{
		{"a/{date:2006/01/02}/{{x}}.jsonl", "", ""},
		{"a.jsonl.zst", "zstd", ""},
		{"a.jsonl.zst", "gzip", "compression"},
		{"a.jsonl.gz", "none", "compression"},
		{"", "", "path"},
		{"/a", "", "path"},
		{"/{project}/a", "", "path"},
		{"/a/", "", "path"},
		{"/a/{project}/../b", "", "path"},
		{"a/%{+HH:mm}", "", "path"},
		{"a/%{+yyyy/MM/dd}.log", "", ""},
		{"../a", "", "path"},
		{"a/../../b", "", "path"},
		{"a//b", "", "path"},
		{"a/", "", "path"},
		{"./a", "", "path"},
		{`a\b`, "", "path"},
		{"C:/a", "", "path"},
		{"a\x00b", "", "path"},
		{"{date:15:04}", "", "path"},
	} {
		f := newFlusher()
		f.Compression = tc.compression
		if err := f.Path.UnmarshalText([]byte(tc.path)); err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, p := range f.Validate() {
			paths = append(paths, p.Path)
		}
		if got := strings.Join(paths, " "); got != tc.want {
			t.Errorf("%q with compression %q: problems with %q, want %q", tc.path, tc.compression, got, tc.want)
		}
		class, _ := flushers.Classify(f.Init(flushertest.NewContext(t, key)))
		if tc.want != "" && class != flushers.ClassMisconfigured {
			t.Errorf("%q: Init is %v, want misconfigured", tc.path, class)
		}
		if f.release != nil {
			stop(t, f)
		}
	}
}

// iLogtail's FilePath is absolute and there is no root.
func TestAnAbsolutePathBringsItsRoot(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"/out/logs/a.log":                     {"/out/logs", "a.log"},
		"/out/logs/{project}/a.log":           {"/out/logs", "{project}/a.log"},
		"/out/x-{project}/a.log":              {"/out", "x-{project}/a.log"},
		"/out/%{tag.x}/%{+yyyy.MM.dd}.log.gz": {"/out", "%{tag.x}/%{+yyyy.MM.dd}.log.gz"},
		"below/{project}.log":                 {noRoot, "below/{project}.log"},
	} {
		f := newFlusher()
		if err := f.Path.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		root, below, err := f.located()
		if err != nil || root != want[0] || below.String() != want[1] {
			t.Errorf("%s: got %s and %s, %v, want %s", text, root, below.String(), err, want)
		}
		if problems := f.Validate(); len(problems) > 0 {
			t.Errorf("%s: %+v", text, problems)
		}
		f.Root = "/else"
		if _, _, err := f.located(); (err != nil) != strings.HasPrefix(text, "/") {
			t.Errorf("%s below another root: %v", text, err)
		}
	}
	dir := filepath.ToSlash(t.TempDir())
	if !strings.HasPrefix(dir, "/") {
		return // Windows' absolute paths have a colon, which no name may have
	}
	f := newFlusher()
	if err := f.Path.UnmarshalText([]byte(dir + "/{project}.log")); err != nil {
		t.Fatal(err)
	}
	if err := f.Init(flushertest.NewContext(t, key)); err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(key.Project, key.Logstore, key.Config, []*protocol.LogGroup{{Logs: []*protocol.Log{{Time: 1}}}}); err != nil {
		t.Fatal(err)
	}
	stop(t, f)
	files := tree(t, dir)
	for name := range files {
		if strings.Contains(name, "/") || !strings.HasPrefix(name, key.Project+".") {
			t.Errorf("the file is %s below the path's own directory", name)
		}
	}
	if len(files) != 1 {
		t.Errorf("%d files below the path's own directory: %v", len(files), files)
	}
}

func TestPlaceTellsEntriesThatExcludeEachOther(t *testing.T) {
	t.Parallel()
	lines, packed := newFlusher(), newFlusher()
	at("logs", "a.jsonl")(lines)
	at("./logs", "a.jsonl")(packed)
	packed.Compression = "zstd"
	where, what := lines.Place()
	otherWhere, otherWhat := packed.Place()
	if where != otherWhere || what == otherWhat {
		t.Errorf("%s of %s and %s of %s: want one place with two contents", what, where, otherWhat, otherWhere)
	}
}

func TestARootThatIsMissingIsMisconfigured(t *testing.T) {
	t.Parallel()
	f := newFlusher()
	at(filepath.Join(t.TempDir(), "missing"), "a")(f)
	var p flushertest.Process
	if class, _ := flushers.Classify(f.Init(p.Context(t, key))); class != flushers.ClassMisconfigured {
		t.Errorf("Init is %v, want misconfigured", class)
	}
	if p.Shared.Len() != 0 {
		t.Error("a failed Init left something open")
	}
}

// plain decompresses a whole file as one stream, as other programs do.
func plain(t testing.TB, e protocol.Encoding, content string) []byte {
	t.Helper()
	r := io.Reader(strings.NewReader(content))
	switch e {
	case protocol.EncodingGzip:
		zr, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = zr
	case protocol.EncodingZstd:
		zr, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer zr.Close()
		r = zr
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func names(files map[string]string) []string {
	var out []string
	for name := range files {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func TestLinesInAnotherShape(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shape := func(f *Flusher) {
		f.Shape, f.TimeFormat, f.TagNames = "custom_single_flatten", "rfc3339", map[string]string{"log.topic": "topic"}
	}
	for path, want := range map[string]string{"a.jsonl": "a.pod-0.000001.jsonl", "{date:2006}.jsonl": "1970.pod-0.000001.jsonl"} {
		f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
			at(dir, path)(f)
			shape(f)
		})
		mustFlush(t, f, group(7, "x"))
		if got := tree(t, dir)[want]; got != `{"msg":"x","topic":"t","time":"1970-01-01T00:00:07Z"}`+"\n" {
			t.Errorf("%s: %q", path, got)
		}
		if _, what := f.Place(); what != `jsonl (custom_single_flatten, time in rfc3339, log.topic as "topic")` {
			t.Errorf("the place has %s", what)
		}
	}
	f := newFlusher()
	at(dir, "a.jsonl")(f)
	f.FieldNames = map[string]string{"contents": ""}
	if problems := f.Validate(); len(problems) != 1 || problems[0].Path != "field_names" {
		t.Errorf("contents are left out: %+v", problems)
	}
}
