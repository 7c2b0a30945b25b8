package names_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func TestOptionTags(t *testing.T) {
	t.Parallel()
	o := names.Defaults()
	if err := option.Check(&o); err != nil {
		t.Error(err)
	}
}

func template(t testing.TB, text string) *protocol.Template {
	t.Helper()
	compiled, err := protocol.CompileTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func namer(t testing.TB, text string, o names.Options, rule names.Rule) *names.Namer {
	t.Helper()
	tmpl := template(t, text)
	if problems := names.Problems("index", tmpl, o, rule); option.Failed(problems) {
		t.Fatal(problems)
	}
	return names.New(tmpl, o, rule)
}

func logs(times ...uint32) *protocol.LogGroup {
	g := &protocol.LogGroup{LogTags: []*protocol.LogTag{{Key: "app", Value: "API gw"}}}
	for _, at := range times {
		g.Logs = append(g.Logs, &protocol.Log{Time: at, Contents: []*protocol.Log_Content{{Key: "__tag__:pod", Value: fmt.Sprint("p", at)}}})
	}
	return g
}

func vars(g *protocol.LogGroup) *protocol.TemplateVars {
	return &protocol.TemplateVars{Key: protocol.Key{Project: "shop", Logstore: "Cart", Config: "c1"}, Host: "web-17", Group: g}
}

func wantClass(t *testing.T, err error, class flushers.Class, text string) {
	t.Helper()
	if got, _ := flushers.Classify(err); got != class || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("got %v, %v, want %v, %q", got, err, class, text)
	}
}

func TestNamesOfRules(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		rule              names.Rule
		text, value, want string
	}{
		{names.KafkaTopic, "logs.{tag.v}", "Cart_1.a-b", "logs.Cart_1.a-b"},
		{names.KafkaTopic, "logs.{tag.v}", "a b/c", "logs.a_b_c-539138d5"},
		{names.KafkaTopic, "logs.{tag.v}", "a_b c", "logs.a_b_c-e5973f08"},
		{names.KafkaTopic, "logs.{tag.v}", "", "logs._"},
		{names.KafkaTopic, "{tag.v}", "..", ".._"},
		{names.KafkaTopic, "{tag.v}", "日本", "______-cf2abf0c"},
		{names.KafkaTopic, "l.{tag.v}", long, "l." + long[:249-2-17] + "-"},
		{names.NATSToken, "logs.{tag.v}.all", "a.b", "logs.a%2Eb.all"},
		{names.NATSToken, "logs.{tag.v}", "*", "logs.%2A"},
		{names.NATSToken, "logs.{tag.v}", "> %é", "logs.%3E%20%25%C3%A9"},
		{names.NATSToken, "logs.x{tag.v}", "", "logs.x_"},
		{names.Index, "logs-{tag.v}", "Web", "logs-web"},
		{names.Index, "logs-{tag.v}", `A\B`, "logs-a_b-"},
		{names.Index, "{tag.v}-logs", ".kibana", "x.kibana-logs"},
		{names.Index, "{tag.v}", "", "x_"},
		{names.Index, "{tag.v}", "..", "x.."},
		{names.Index, ".logs-{tag.v}", "-a", ".logs--a"},
		{names.Index, "{tag.v}", long, long[:255-17] + "-"},
	} {
		g := &protocol.LogGroup{LogTags: []*protocol.LogTag{{Key: "v", Value: c.value}}}
		got, err := namer(t, c.text, names.Defaults(), c.rule).Name(vars(g))
		if err != nil || !strings.HasPrefix(got, c.want) || len(got) > c.rule.Limit {
			t.Errorf("%s of %.20q: got %q (%d), %v, want %q", c.text, c.value, got, len(got), err, c.want)
		}
		if err := c.rule.Check(got); err != nil {
			t.Errorf("%s of %.20q: %v", c.text, c.value, err)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	none := names.Options{Missing: "none", MaxNames: 1}
	for _, c := range []struct {
		rule names.Rule
		text string
		o    names.Options
		want string
	}{
		{names.KafkaTopic, "", names.Defaults(), "it is empty"},
		{names.KafkaTopic, "logs/{project}", names.Defaults(), `"/" cannot stand in the name of a topic`},
		{names.KafkaTopic, "..", names.Defaults(), `a topic cannot be called ".."`},
		{names.KafkaTopic, strings.Repeat("x", 250), names.Defaults(), "names have at most 249 bytes"},
		{names.KafkaTopic, "logs", none, "it has no effect: topic has neither a tag nor a content"},
		{names.KafkaTopic, "logs-{tag.x}", none, ""},
		{names.NATSToken, "logs..{project}", names.Defaults(), "a token of the subject"},
		{names.NATSToken, "logs.>", names.Defaults(), "has a wildcard"},
		{names.NATSToken, "logs.a b", names.Defaults(), `" " cannot stand`},
		{names.NATSToken, "logs.{project}.{date:2006-01}", names.Defaults(), ""},
		{names.Index, "Logs-{project}", names.Defaults(), `no capital letters: write "logs-x"`},
		{names.Index, "_logs", names.Defaults(), `cannot begin with "_"`},
		{names.Index, "logs-{date:Jan}", names.Defaults(), "no capital letters"},
		{names.Index, "logs:{project}", names.Defaults(), `":" cannot stand`},
		{names.Index, "..", names.Defaults(), "an index cannot be called"},
		{names.Index, "{project}", names.Defaults(), ""},
	} {
		problems := names.Problems("topic", template(t, c.text), c.o, c.rule)
		switch {
		case c.want == "" && len(problems) > 0:
			t.Errorf("%q: %+v", c.text, problems)
		case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Text(), c.want)):
			t.Errorf("%q: got %+v, want %q", c.text, problems, c.want)
		}
	}
}

func TestFixedAndPerLog(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		fixed          string
		always, perLog bool
	}{
		"logs":                  {"logs", true, false},
		"logs-{project}":        {"", false, false},
		"{logstore}.{config}":   {"", false, false},
		"logs-{host}":           {"", false, false},
		"logs-{tag.app}":        {"", false, true},
		"logs-{content.x}":      {"", false, true},
		"logs-{date:2006}":      {"", false, true},
		"logs-%{+yyyy.ww}":      {"", false, true},
		"{project}-{date:2006}": {"", false, true},
	} {
		n := namer(t, text, names.Defaults(), names.KafkaTopic)
		if fixed, always := n.Fixed(); fixed != want.fixed || always != want.always || n.PerLog() != want.perLog {
			t.Errorf("%s: %q, %v, PerLog %v", text, fixed, always, n.PerLog())
		}
	}
	v := vars(nil)
	n := namer(t, "{project}-{logstore}-{host}-{date:2006}-%{tag.a}", names.Defaults(), names.Index)
	if got := n.Locate(v); got != "shop-cart-web-17-{date:2006}-{tag.a}" {
		t.Errorf("located at %s", got)
	}
	n = namer(t, "{project}-{host}", names.Defaults(), names.Index)
	if got, err := n.Name(v); err != nil || got != "shop-web-17" {
		t.Errorf("without a group: %q, %v", got, err)
	}
}

func TestNamesOfTheLogsOfAGroup(t *testing.T) {
	t.Parallel()
	const day = 86400
	g := logs(1, 2, day, 3)
	g.Logs = slices.Insert(g.Logs, 1, nil)
	for text, want := range map[string]struct {
		all  []string
		same bool
	}{
		"logs":                         {[]string{"logs", "", "logs", "logs", "logs"}, true},
		"{logstore}":                   {[]string{"cart", "", "cart", "cart", "cart"}, true},
		"{tag.app}":                    {[]string{"api_gw-5bfb6bb4", "", "api_gw-5bfb6bb4", "api_gw-5bfb6bb4", "api_gw-5bfb6bb4"}, true},
		"{tag.pod}":                    {[]string{"p1", "", "p2", "p86400", "p3"}, false},
		"{date:02}":                    {[]string{"01", "", "01", "02", "01"}, false},
		"{date:2006}":                  {[]string{"1970", "", "1970", "1970", "1970"}, true},
		"{date:05}":                    {[]string{"01", "", "02", "00", "03"}, false},
		"{content.__tag__:pod}-%{+HH}": {[]string{"p1-00", "", "p2-00", "p86400-00", "p3-00"}, false},
	} {
		all, same, err := namer(t, text, names.Defaults(), names.Index).Logs([]string{"kept"}, vars(g))
		if diff := cmp.Diff(append([]string{"kept"}, want.all...), all); diff != "" || err != nil || same != want.same {
			t.Errorf("%s: %v, %v (-want +got)\n%s", text, same, err, diff)
		}
	}
	n := namer(t, "{tag.none}", names.Defaults(), names.Index)
	if all, same, err := n.Logs(nil, vars(logs())); len(all) > 0 || !same || err != nil {
		t.Errorf("no logs: %v, %v, %v", all, same, err)
	}
	_, _, err := n.Logs(nil, vars(g))
	wantClass(t, err, flushers.ClassPermanent, `the log has no tag.none, which the template "{tag.none}" needs; missing_field can say what stands for it`)
	n = namer(t, "logs-{tag.none}", names.Options{Missing: "No Tag", MaxNames: 1}, names.Index)
	if all, same, err := n.Logs(nil, vars(logs(1, 2))); err != nil || !same || !strings.HasPrefix(all[1], "logs-no_tag-") {
		t.Errorf("what stands for a missing field: %v, %v, %v", all, same, err)
	}
}

// A template that makes a name of every request does not fill the destination, and
// costs only the lanes that need new ones; after an hour those unused make room.
func TestNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := namer(t, "logs-{tag.pod}", names.Options{MaxNames: 3}, names.Index)
		name := func(at uint32) (string, error) {
			g := logs(at)
			v := vars(g)
			v.Log = g.Logs[0]
			return n.Name(v)
		}
		for _, at := range []uint32{1, 2, 3, 2, 1} {
			if _, err := name(at); err != nil {
				t.Fatal(err)
			}
		}
		_, err := name(4)
		wantClass(t, err, flushers.ClassMisconfigured, `couldn't use the name "logs-p4": 3 others were used within the last hour, and max_names allows no more`)
		time.Sleep(40 * time.Minute)
		if _, err := name(2); err != nil {
			t.Error(err)
		}
		time.Sleep(20*time.Minute + time.Second)
		for _, at := range []uint32{4, 5, 2} {
			if _, err := name(at); err != nil {
				t.Errorf("after an hour: %v", err)
			}
		}
		_, err = name(6)
		wantClass(t, err, flushers.ClassMisconfigured, "max_names allows no more")
		_, err = name(1)
		wantClass(t, err, flushers.ClassMisconfigured, "max_names allows no more")
	})
}

func TestNamesAreSharedByTheLanes(t *testing.T) {
	t.Parallel()
	var p flushertest.Process
	o := names.Options{MaxNames: 1}
	share := func(where, text string) (*names.Namer, func()) {
		n, release, err := names.Share(p.Context(t, protocol.Key{Project: "p"}), "topics", where, template(t, text), o, names.KafkaTopic)
		if err != nil {
			t.Fatal(err)
		}
		return n, release
	}
	a, leaveA := share("k1:9092", "{project}")
	b, leaveB := share("k1:9092", "{project}")
	c, leaveC := share("k2:9092", "{project}")
	if a != b || a == c {
		t.Errorf("shared by two of one place: %v, by two of two: %v", a == b, a == c)
	}
	for _, leave := range []func(){leaveA, leaveB, leaveC} {
		leave()
	}
}

func TestKnownNamesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes from pools at random")
	}
	n := namer(t, "Logs-{logstore}-{date:2006.01.02}-{tag.app}", names.Defaults(), names.KafkaTopic)
	g := logs(1, 2, 3)
	v := vars(g)
	all, _, err := n.Logs(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(200, func() {
		if all, _, err = n.Logs(all[:0], v); err != nil {
			t.Fatal(err)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations for three logs with known names", got)
	}
}

// Lanes ask at the same time, and get one string for one name.
func TestNamesFromManyLanes(t *testing.T) {
	t.Parallel()
	n := namer(t, "logs-{tag.pod}", names.Options{MaxNames: 50}, names.Index)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for at := range uint32(100) {
				g := logs(at % 50)
				all, _, err := n.Logs(nil, vars(g))
				if want := fmt.Sprint("logs-p", at%50); err != nil || all[0] != want {
					t.Errorf("got %v, %v, want %s", all, err, want)
				}
			}
		})
	}
	wg.Wait()
}
