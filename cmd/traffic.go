package cmd

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/flushline/flushline/protocol"
)

// traffic makes LogGroups that look like what agents collect: nginx access logs,
// application logs and container output, with the tags a Kubernetes node adds.
// The same seed gives the same traffic; only the times differ.
type traffic struct {
	rnd  *rand.Rand
	keys []protocol.Key
	next int
}

// demoKeys is the traffic of a small shop.
var demoKeys = []protocol.Key{
	{Project: "shop", Logstore: "nginx-access", Config: "ingress"},
	{Project: "shop", Logstore: "app", Config: "cart"},
	{Project: "shop", Logstore: "app", Config: "checkout"},
	{Project: "payments", Logstore: "app", Config: "ledger"},
	{Project: "payments", Logstore: "stdout", Config: "worker"},
	{Project: "platform", Logstore: "stdout", Config: "coredns"},
}

func newTraffic(seed uint64, keys []protocol.Key) *traffic {
	return &traffic{rnd: rand.New(rand.NewPCG(seed, 1)), keys: keys}
}

// group is the next group and its key; each key has its turn.
func (t *traffic) group(now time.Time) (protocol.Key, *protocol.LogGroup) {
	key := t.keys[t.next%len(t.keys)]
	shape := []func(*traffic) []*protocol.Log_Content{accessLog, appLog, containerLog}[t.next%len(t.keys)%3]
	t.next++

	g := &protocol.LogGroup{
		Category:    key.Logstore,
		Source:      fmt.Sprintf("10.42.%d.%d", t.rnd.IntN(8), 2+t.rnd.IntN(200)),
		MachineUUID: "4C4C4544-0042-" + strconv.Itoa(1000+t.rnd.IntN(9000)),
		LogTags:     t.podTags(key),
	}
	for range 5 + t.rnd.IntN(40) {
		at := now.Add(-time.Duration(t.rnd.IntN(2000)) * time.Millisecond)
		ns := uint32(at.Nanosecond())
		g.Logs = append(g.Logs, &protocol.Log{Time: uint32(at.Unix()), TimeNs: &ns, Contents: shape(t)})
	}
	return key, g
}

func (t *traffic) podTags(key protocol.Key) []*protocol.LogTag {
	return []*protocol.LogTag{
		{Key: "__path__", Value: "/var/log/pods/" + key.Config + "/0.log"},
		{Key: "_namespace_", Value: key.Project},
		{Key: "_pod_name_", Value: fmt.Sprintf("%s-7d9f%04x-%05x", key.Config, t.rnd.IntN(1<<16), t.rnd.IntN(1<<20))},
		{Key: "_container_name_", Value: key.Config},
		{Key: "_node_name_", Value: fmt.Sprintf("node-%02d", 1+t.rnd.IntN(12))},
	}
}

func pick[T any](t *traffic, from []T) T { return from[t.rnd.IntN(len(from))] }

func pair(k, v string) *protocol.Log_Content { return &protocol.Log_Content{Key: k, Value: v} }

var (
	methods  = []string{"GET", "GET", "GET", "GET", "POST", "PUT"}
	paths    = []string{"/p/", "/api/v1/cart/", "/api/v1/items/", "/api/v1/checkout?order=", "/static/app.js?v=", "/search?page="}
	statuses = []string{"200", "200", "200", "200", "200", "304", "404", "499", "502"}
	agents   = []string{"Mozilla/5.0 (X11; Linux x86_64) Firefox/133.0", "okhttp/4.12.0", "curl/8.11.0", "kube-probe/1.31"}
	levels   = []string{"INFO", "INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"}
	events   = []string{"order placed", "payment authorised", "cache miss", "retrying upstream call", "session expired", "stock reserved"}
)

func accessLog(t *traffic) []*protocol.Log_Content {
	return []*protocol.Log_Content{
		pair("remote_addr", fmt.Sprintf("203.0.113.%d", t.rnd.IntN(256))),
		pair("request_method", pick(t, methods)),
		pair("request_uri", pick(t, paths)+strconv.Itoa(t.rnd.IntN(90000))),
		pair("status", pick(t, statuses)),
		pair("body_bytes_sent", strconv.Itoa(t.rnd.IntN(40000))),
		pair("request_time", fmt.Sprintf("%.3f", t.rnd.ExpFloat64()*0.08)),
		pair("http_user_agent", pick(t, agents)),
	}
}

func appLog(t *traffic) []*protocol.Log_Content {
	return []*protocol.Log_Content{
		pair("level", pick(t, levels)),
		pair("message", pick(t, events)),
		pair("trace_id", fmt.Sprintf("%016x%016x", t.rnd.Uint64(), t.rnd.Uint64())),
		pair("order_id", strconv.Itoa(100000+t.rnd.IntN(900000))),
		pair("duration_ms", strconv.Itoa(int(t.rnd.ExpFloat64()*40))),
	}
}

func containerLog(t *traffic) []*protocol.Log_Content {
	return []*protocol.Log_Content{
		pair("_source_", pick(t, []string{"stdout", "stdout", "stdout", "stderr"})),
		pair("content", fmt.Sprintf("%s worker=%d %s queue=%d", pick(t, levels), t.rnd.IntN(16), pick(t, events), t.rnd.IntN(500))),
	}
}
