//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// The tenants of a soak: a project and a route each, with soakLanes logstores.
const (
	soakHealthy = 12 // that post, and as many that write files
	soakLanes   = 2
)

// The tenants that something is wrong with.
const (
	tenantSlow    = "slow"    // takes its time
	tenantHangs   = "hangs"   // does not answer at times
	tenantFlaps   = "flaps"   // refuses some requests, and resets connections
	tenantUnready = "unready" // is not ready at times
	tenantStuck   = "stuck"   // its Flush does not return at times, whatever is asked of it
)

// tenants are the destinations of a soak.
type tenants struct {
	dir     string
	well    *receiver // of all tenants that post
	slow    *receiver
	hangs   *moody
	flaps   *moody
	version int // of the configuration
}

func newTenants(t *testing.T, r *rig, rng *rand.Rand) *tenants {
	t.Helper()
	return &tenants{
		dir: r.dir, well: startReceiver(t, r.run, 0), slow: startReceiver(t, r.run, 300*time.Millisecond),
		hangs: startMoody(t, r.run, rng.Uint64()), flaps: startMoody(t, r.run, rng.Uint64()),
	}
}

// keys are those of all tenants, in turn.
func (x *tenants) keys() []protocol.Key {
	projects := []string{tenantSlow, tenantHangs, tenantFlaps, tenantUnready, tenantStuck}
	for i := range soakHealthy {
		projects = append(projects, fmt.Sprintf("posts%02d", i), fmt.Sprintf("writes%02d", i))
	}
	return ledger.Keys(soakLanes*len(projects), projects...)
}

func (x *tenants) gate(of string) string { return filepath.Join(x.dir, "gate-"+of) }
func (x *tenants) hang() string          { return filepath.Join(x.dir, "hang") }
func (x *tenants) late() string          { return x.hang() + ".late" }

// routes are those of a pod, of the newest version: a reload finds about half of the
// entries changed, and a route come or gone.
func (x *tenants) routes(pod string, rng *rand.Rand) string {
	var b strings.Builder
	route := func(tenant, flusher string, args ...any) {
		fmt.Fprintf(&b, "\n  - name: %[1]s\n    match: {project: %[1]s}\n    when_blocked: wait\n    flushers:\n      - {%[2]s, flush_timeout: %[3]ds, retry: {max: 2s}}",
			tenant, fmt.Sprintf(flusher, args...), 6+rng.IntN(2))
	}
	const post = "type: http, url: %q, batch: {groups: 50}"
	route(tenantSlow, post, x.slow.server.URL)
	route(tenantHangs, post, x.hangs.front.URL)
	route(tenantFlaps, post, x.flaps.front.URL)
	const gated = `type: gated, batch: {groups: 50}, path: "%[1]s/%[2]s/%[3]s", gate: %[4]q`
	route(tenantUnready, gated, x.dir, tenantUnready, pod, x.gate(tenantUnready))
	route(tenantStuck, gated+", hang: %[5]q", x.dir, tenantStuck, pod, x.gate(tenantStuck), x.hang())
	formats := []string{
		`{logstore}.jsonl", format: jsonl`, `{logstore}.jsonl.gz", format: jsonl, batch: {wait: 1s}`,
		`{logstore}.pb.zst", format: loggroup`, `{logstore}.jsonl.zst", format: jsonl`,
	}
	for i := range soakHealthy {
		route(fmt.Sprintf("posts%02d", i), post, x.well.server.URL)
		route(fmt.Sprintf("writes%02d", i), `type: file, root: %q, path: "writes/%s/{project}/`+formats[i%len(formats)], x.dir, pod)
	}
	if x.version%2 == 1 {
		b.WriteString("\n  - {name: seldom, match: {project: seldom}, when_blocked: wait, flushers: [{type: blackhole, flush_timeout: 5s}]}")
	}
	return b.String() + "\n"
}

// soakPlace is where the logs of some tenants are.
type soakPlace struct {
	name string
	root string
	of   ledger.Of
}

func (x *tenants) places() []soakPlace {
	of := func(names ...string) ledger.Of {
		return func(k protocol.Key) bool {
			return slices.Contains(names, strings.TrimRight(k.Project, "0123456789"))
		}
	}
	return []soakPlace{
		{"tenants that post", x.well.dir, of("posts")},
		{"tenants that write files", filepath.Join(x.dir, "writes"), of("writes")},
		{"the slow tenant", x.slow.dir, of(tenantSlow)},
		{"the tenant that hangs", x.hangs.dir, of(tenantHangs)},
		{"the tenant that flaps", x.flaps.dir, of(tenantFlaps)},
		{"the tenant that is not ready", filepath.Join(x.dir, tenantUnready), of(tenantUnready)},
		{"the tenant whose Flush sticks", filepath.Join(x.dir, tenantStuck), of(tenantStuck)},
	}
}
