package file

import (
	"testing"

	"github.com/flushline/flushline/protocol"
)

// What Locate says is the name of the file that a Flush makes.
func TestLocateNamesTheFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ path, want string }{
		{"{project}/{logstore}.jsonl", "/d/shop/web%2Feu.w-0.000001.jsonl, jsonl"},
		{"archive/{project}/{date:2006-01-02}.jsonl.gz", "/d/archive/shop/{date:2006-01-02}.w-0.000001.jsonl.gz, jsonl in gzip"},
		{"{config}.{date:2006.01.02}", "/d/app.{date:2006.01.02}.w-0.000001, jsonl"},
		{"{host}/{tag.app}/x.%{content.level}.zst", "/d/w-0/{tag.app}/x.w-0.000001.{content.level}.zst, jsonl in zstd"},
		{"%{+yyyy}/%{+ww}.log", "/d/{date:2006}/{+ww}.w-0.000001.log, jsonl"},
	} {
		f := newFlusher()
		f.Root, f.Host = "/d", "w-0"
		if err := f.Path.UnmarshalText([]byte(tc.path)); err != nil {
			t.Fatal(err)
		}
		if got := f.Locate("shop", "web/eu", "app"); got != tc.want {
			t.Errorf("%s is located at %s, want %s", tc.path, got, tc.want)
		}
	}

	f := newFlusher()
	f.Root, f.Host = "/d", "w-0"
	f.key = protocol.Key{Project: "shop", Logstore: "COM1", Config: "app"}
	if err := f.Path.UnmarshalText([]byte("{project}/{logstore}.jsonl")); err != nil {
		t.Fatal(err)
	}
	real, err := f.render(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := splitName(real, "", safeHost("w-0"))
	if got, want := f.Locate("shop", "COM1", "app"), "/d/"+n.file(1)+", jsonl"; got != want {
		t.Errorf("located at %s, written to %s", got, want)
	}
}
