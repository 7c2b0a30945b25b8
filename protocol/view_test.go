package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
)

func viewed() *protocol.LogGroup {
	ns := uint32(5e8)
	return &protocol.LogGroup{
		Category: "app", Topic: "t", Source: "10.0.0.1", MachineUUID: "m",
		LogTags: []*protocol.LogTag{{Key: "host", Value: "secret-tag"}},
		Logs: []*protocol.Log{
			{Time: 60, TimeNs: &ns, Contents: []*protocol.Log_Content{{Key: "card", Value: "secret-content"}}, Values: []string{"secret-value"}},
			{Time: 61, Contents: []*protocol.Log_Content{{Key: "empty"}}},
			{Time: 62},
		},
	}
}

func TestAViewLeavesValuesOut(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(protocol.NewView(viewed(), 2, false))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "secret") {
		t.Errorf("a value is in %s", b)
	}
	want := `{"category":"app","topic":"t","source":"10.0.0.1","machine":"m","tags":[{"key":"host","bytes":10}],` +
		`"logs":[{"time":"1970-01-01T00:01:00.5Z","contents":[{"key":"card","bytes":14}],"values":[{"bytes":12}]},` +
		`{"time":"1970-01-01T00:01:01Z","contents":[{"key":"empty","bytes":0}]}],"logs_left_out":1}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAViewShowsValuesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	g := viewed()
	v := protocol.NewView(g, 0, true)
	if v.LeftOut != 0 || len(v.Logs) != 3 {
		t.Errorf("%d logs, %d left out; want all 3", len(v.Logs), v.LeftOut)
	}
	for _, tc := range []struct {
		of  protocol.ViewValue
		was string
	}{
		{v.Tags[0].ViewValue, "secret-tag"},
		{v.Logs[0].Contents[0].ViewValue, "secret-content"},
		{v.Logs[0].Values[0], "secret-value"},
		{v.Logs[1].Contents[0].ViewValue, ""},
	} {
		if tc.of.Value == nil || *tc.of.Value != tc.was || tc.of.Bytes != len(tc.was) {
			t.Errorf("%+v, want %q", tc.of, tc.was)
		}
	}
}
