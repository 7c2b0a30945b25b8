package configs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/configs"
)

func TestWhatWasGivenHasAPlace(t *testing.T) {
	t.Parallel()
	c, report := configs.Parse("shop.yaml", []byte(`source:
  embedded: {}
routes:
  - name: shop
    flushers:
      - type: http
        name: a
        RemoteURL: http://a
        password: hunter2
      - {type: http, url: http://b}
limits: {window: 7}
`), testKinds(t))
	if c == nil {
		t.Fatal(report)
	}
	r := &c.Routes[0]
	for path, want := range map[string]string{"limits.window": "shop.yaml:11:18", "limits.lanes": "", "drain.timeout": ""} {
		if got := c.At(path); got != want {
			t.Errorf("%s stands at %q, want %q", path, got, want)
		}
	}
	if got := c.RouteAt(r); got != "shop.yaml:4:5" {
		t.Errorf("the route stands at %s", got)
	}
	e := c.Entry("shop", "a")
	if e == nil || c.EntryAt(e) != "shop.yaml:6:9" || c.Entry("shop", "b") != nil || c.Entry("s", "a") != nil {
		t.Fatalf("the entry a is %+v", e)
	}
	if diff := cmp.Diff([]configs.Given{{Name: "url", At: "shop.yaml:8:20"}, {Name: "password", At: "shop.yaml:9:19", Secret: true}}, c.GivenOptions(e)); diff != "" {
		t.Errorf("options of a (-want +got):\n%s", diff)
	}
}
