package logfile

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/file"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// What the file flusher wrote comes back: its lines, its frames with their ids and
// keys, in either compression, from files that were rotated and one that a crash tore.
func TestWhatTheFileFlusherWroteComesBack(t *testing.T) {
	t.Parallel()
	for _, format := range []string{file.FormatJSONLines, file.FormatLogGroup} {
		for _, suffix := range []string{"", ".gz", ".zst"} {
			t.Run(format+suffix, func(t *testing.T) {
				t.Parallel()
				root := t.TempDir()
				groups := sampleGroups(300)
				flushAll(t, root, format, "{project}/{logstore}/logs.x"+suffix, groups)
				torn := tear(t, root)

				cfg := DefaultConfig()
				plan, err := Find(context.Background(), &cfg, []string{root}, 1)
				if err != nil {
					t.Fatal(err)
				}
				in := inputOf(t, &cfg)
				var got all
				files := 0
				for s, err := range plan.Slices {
					if err != nil {
						t.Fatal(err)
					}
					files++
					one, err := readAll(in, &s, 0, 4<<10)
					if err != nil {
						t.Fatal(err)
					}
					if (len(one.damage) > 0) != (s.Name == torn) {
						t.Errorf("%s: damage %v", s.Name, one.damage)
					}
					if !strings.HasPrefix(below(&s), "shop/orders/logs.pod-0.") || one.messages[0].Subject != below(&s) {
						t.Errorf("the name below the root is %s", below(&s))
					}
					got.messages = append(got.messages, one.messages...)
					got.origins = append(got.origins, one.origins...)
				}
				if files < 3 {
					t.Errorf("only %d files: nothing was rotated", files)
				}
				if format == file.FormatLogGroup {
					sameFrames(t, &got, groups)
					return
				}
				var want []string
				for _, g := range groups {
					for _, l := range g.Logs {
						want = append(want, string(protocol.AppendJSONLog(nil, g, l)))
					}
				}
				if diff := cmp.Diff(want, got.logs(t)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func sampleGroups(n int) (groups []*protocol.LogGroup) {
	for i := range n {
		g := &protocol.LogGroup{Topic: fmt.Sprint("t", i/50), Source: "192.0.2.1", LogTags: []*protocol.LogTag{{Key: "host", Value: fmt.Sprint(i / 20)}}}
		for j := range 1 + i%3 {
			ns := uint32(j * 1000)
			g.Logs = append(g.Logs, &protocol.Log{Time: uint32(1700000000 + i), TimeNs: &ns, Contents: []*protocol.Log_Content{
				{Key: "n", Value: fmt.Sprint(i, ".", j)}, {Key: "quotes", Value: "\"\\\n\té"}, {Key: "", Value: ""},
			}})
		}
		groups = append(groups, g)
	}
	return groups
}

func idOf(i int) protocol.ID {
	var id protocol.ID
	copy(id.Origin[:], fmt.Sprintf("origin %09d", i))
	id.Group = uint32(i % 4)
	return id
}

// flushAll writes groups with the real flusher, ten a Flush.
func flushAll(t *testing.T, root, format, path string, groups []*protocol.LogGroup) {
	t.Helper()
	f, ok := file.Kind().New().(*file.Flusher)
	if !ok {
		t.Fatal("the kind makes something else")
	}
	f.Root, f.Format, f.Host, f.MaxSize = root, format, "pod-0", 2000
	if err := f.Path.UnmarshalText([]byte(path)); err != nil {
		t.Fatal(err)
	}
	key := protocol.Key{Project: "shop", Logstore: "orders", Config: "c1"}
	if err := f.Init(new(flushertest.Process).Context(t, key)); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(groups); i += 10 {
		b := &flushers.Batch{Project: key.Project, Logstore: key.Logstore, Config: key.Config, Groups: groups[i : i+10]}
		for j := range b.Groups {
			b.IDs = append(b.IDs, idOf(i+j))
		}
		if err := f.FlushBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
}

// tear puts half of a Flush behind the last file, as a crash leaves it.
func tear(t *testing.T, root string) (torn string) {
	t.Helper()
	names, err := find(t, root)
	if err != nil {
		t.Fatal(err)
	}
	last := names[len(names)-1].Name
	first, err := os.ReadFile(names[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, last, slices.Concat(whole, first[:30]))
	return last
}

func sameFrames(t *testing.T, got *all, want []*protocol.LogGroup) {
	t.Helper()
	var read []*protocol.LogGroup
	for i := range got.messages {
		m := &got.messages[i]
		if _, bad := m.Header(queue.HeaderDamage); bad {
			continue
		}
		id := idOf(len(read))
		index, _ := m.Header(queue.HeaderGroups)
		if got.origins[i] != queue.Origin(id.Origin) || (index == "") != (id.Group == 0) || index != "" && index != fmt.Sprint(id.Group) {
			t.Fatalf("frame %d has the id %v and group %q", len(read), got.origins[i], index)
		}
		if p, _ := m.Header(protocol.HeaderProject); p != "shop" {
			t.Fatalf("frame %d has the project %q", len(read), p)
		}
		g := new(protocol.LogGroup)
		if err := g.Unmarshal(m.Value); err != nil {
			t.Fatal(err)
		}
		read = append(read, g)
	}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}
}
