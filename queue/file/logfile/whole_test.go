package logfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
)

// Each value that a collector writes is a file that is read by itself.
func TestWhatCollectorsWriteIsReadFromFiles(t *testing.T) {
	t.Parallel()
	const dir = "../../../protocol/testdata/collectors"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".bin" && ext != ".json" {
			continue
		}
		value, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		read++
		for _, how := range compressions {
			t.Run(e.Name()+" "+how, func(t *testing.T) {
				t.Parallel()
				cfg := DefaultConfig()
				s := sliceOf(t, &cfg, written(t, e.Name(), compressed(t, how, value)))
				in := inputOf(t, &cfg)
				a, err := readAll(in, &s, 0, 1)
				if err != nil || len(a.damage) > 0 {
					t.Fatalf("%v, damage %v", err, a.damage)
				}
				p := protocol.Payload{Value: value, Format: protocol.FormatAuto, Time: a.messages[0].Time}
				_, groups, err := p.Scan(nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				var want []*protocol.LogGroup
				for i := range groups {
					want = append(want, groups[i].Decode())
				}
				if diff := cmp.Diff(want, a.groups(t)); diff != "" {
					t.Error(diff)
				}
				resumes(t, in, &s, &a)
			})
		}
	}
	if read < 10 {
		t.Errorf("only %d files", read)
	}
}

func TestALargeListBecomesMessagesOfUsualSize(t *testing.T) {
	t.Parallel()
	groups := sampleGroups(9000)
	file := (&protocol.LogGroupList{LogGroupList: groups}).AppendMarshal(nil)
	cfg := DefaultConfig()
	s := sliceOf(t, &cfg, written(t, "a", compressed(t, "zstd", file)))
	in := inputOf(t, &cfg)
	a, err := readAll(in, &s, 0, 1)
	if err != nil || len(a.messages) < 4 || len(a.messages) > 2+len(file)/packBytes*2 {
		t.Fatalf("%d messages of %d bytes, %v", len(a.messages), len(file), err)
	}
	if diff := cmp.Diff(groups, a.groups(t)); diff != "" {
		t.Error(diff)
	}
	if a.next != int64(len(groups)) {
		t.Errorf("next is %d of %d groups", a.next, len(groups))
	}
	resumes(t, in, &s, &a)
}

func TestAFileThatIsReadAsAWholeIsBounded(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	in, err := New(&cfg, 100<<10)
	if err != nil {
		t.Fatal(err)
	}
	file := (&protocol.LogGroupList{LogGroupList: sampleGroups(2000)}).AppendMarshal(nil)
	bomb := append([]byte("[\n"), bytes.Repeat([]byte(`{},`), 30000)...)
	for name, content := range map[string][]byte{"a list": file, "JSON that grows": append(bomb, "{}\n]"...)} {
		s := sliceOf(t, &cfg, written(t, "a", content))
		a, err := readAll(in, &s, 0, 1)
		if err != nil || len(a.damage) != 1 || len(a.messages) != 1 || !strings.Contains(a.damage[0].Why, "decompressed") {
			t.Errorf("%s: %d messages, damage %v, %v", name, len(a.messages), a.damage, err)
			continue
		}
		if n := len(a.messages[0].Value); n != damageBytes {
			t.Errorf("%s: the damage has %d bytes", name, n)
		}
		resumes(t, in, &s, &a)
	}
}

func TestEveryFormatIsOneOfLayouts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"json", "custom_single", "custom_single_flatten", "text", "frames", "loggroup", "loggrouplist", "slspackage", "slspackagelist"} {
		if l, err := chosen(name); err != nil || l.kind == unknown {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	if _, err := New(&Config{Format: "xml"}, 0); err == nil {
		t.Error("xml is a format")
	}
	cfg := DefaultConfig()
	cfg.Format = "custom_single_flatten"
	s := sliceOf(t, &cfg, written(t, "a", []byte(`{"contents":{"a":"b"}}`+"\n")))
	a, err := readAll(inputOf(t, &cfg), &s, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf(`{"contents":{"contents":"{\"a\":\"b\"}"},"tags":{},"time":%d}`, a.messages[0].Time.Unix())}
	if diff := cmp.Diff(want, a.logs(t)); diff != "" || time.Since(a.messages[0].Time) > time.Hour {
		t.Errorf("%s %v", diff, a.messages[0].Time)
	}
}
