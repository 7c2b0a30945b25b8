package ledger

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/protocol"
)

// Load says what Produce publishes.
type Load struct {
	Run     string         // the name of this run, part of every id; [A-Za-z0-9]
	Groups  int            // how many confirmed groups to end with; 0: until the context ends
	Keys    []protocol.Key // groups go to them in turn; letters, digits, _ and - only; see [Keys]
	Logs    int            // logs in a group, 1 to Logs by the group's number; 0: 2
	Bytes   int            // filler added to each log; 0: none
	Rate    int            // groups a second over all workers; 0: as fast as confirmed
	Workers int            // publishes under way at a time; 0: 32
	Subject string         // prefix of the subjects; "": "logs"
	Start   time.Time      // time of the first log; each group is a millisecond later
}

// Keys makes n keys over the given projects in turn.
func Keys(n int, projects ...string) []protocol.Key {
	keys := make([]protocol.Key, n)
	for i := range keys {
		keys[i] = protocol.Key{
			Project:  projects[i%len(projects)],
			Logstore: fmt.Sprintf("store%02d", i),
			Config:   "app",
		}
	}
	return keys
}

// Names of the contents that the ledger reads back. All other contents are there
// to look like logs and to be covered by the checksum.
const (
	fieldID   = "id"
	fieldKey  = "ledger_key"
	fieldSent = "ledger_sent" // what stands beside the contents, see sentWith
	fieldCRC  = "ledger_crc"
)

const tagHost = "host.name"

// sentWith is what a log is sent with beside its contents: its time and what its
// group says of all logs.
func sentWith(seconds, nanos int64, host, source, topic string) string {
	return fmt.Sprintf("%d.%09d %s %s %s", seconds, nanos, host, source, topic)
}

func attributes(g *protocol.LogGroup, l *protocol.Log) string {
	var nanos int64
	if l.TimeNs != nil {
		nanos = int64(*l.TimeNs)
	}
	var host string
	for _, t := range g.LogTags {
		if t.Key == tagHost {
			host = t.Value
		}
	}
	return sentWith(int64(l.Time), nanos, host, g.Source, g.Topic)
}

func (l *Load) key(n uint64) protocol.Key { return l.Keys[n%uint64(len(l.Keys))] }

func (l *Load) logs(n uint64) int { return 1 + int(n)%max(l.Logs, 1) }

// group makes the n-th group: always the same for the same load.
func (l *Load) group(n uint64) *protocol.LogGroup {
	rng := rand.New(rand.NewPCG(n, uint64(crc32.ChecksumIEEE([]byte(l.Run)))))
	key := l.key(n)
	g := &protocol.LogGroup{
		Category: key.Logstore,
		Topic:    "access",
		Source:   fmt.Sprintf("10.2.%d.%d", rng.IntN(256), rng.IntN(256)),
		LogTags:  []*protocol.LogTag{{Key: tagHost, Value: fmt.Sprintf("web-%02d", rng.IntN(40))}},
	}
	at := l.Start.Add(time.Duration(n) * time.Millisecond)
	for i := range l.logs(n) {
		nanos := uint32(at.Nanosecond())
		log := &protocol.Log{Time: uint32(at.Unix()), TimeNs: &nanos}
		sent := attributes(g, log)
		for _, f := range l.fields(rng, key, sent, ID{Group: n, Log: i}) {
			log.Contents = append(log.Contents, &protocol.Log_Content{Key: f[0], Value: f[1]})
		}
		g.Logs = append(g.Logs, log)
	}
	return g
}

var (
	methods = []string{"GET", "POST", "PUT", "DELETE"}
	paths   = []string{"/cart", "/api/v2/orders?id=7&sort=<up>", "/suche/größe", "/商品/一覧", "/a\tb"}
	agents  = []string{"curl/8.5.0", `Mozilla/5.0 (X11; Linux x86_64) "quoted"`, "kube-probe/1.31", `back\slash`}
)

func (l *Load) fields(rng *rand.Rand, key protocol.Key, sent string, id ID) [][2]string {
	fields := [][2]string{
		{fieldID, id.text(l.Run)},
		{fieldKey, key.String()},
		{fieldSent, sent},
		{"method", methods[rng.IntN(len(methods))]},
		{"path", paths[rng.IntN(len(paths))]},
		{"status", strconv.Itoa(200 + 100*rng.IntN(4))},
		{"latency_ms", strconv.FormatFloat(rng.ExpFloat64()*20, 'f', 3, 64)},
		{"agent", agents[rng.IntN(len(agents))]},
		{"message", "line one\nline two " + strings.Repeat("lorem ipsum ", rng.IntN(6))},
		{"empty", ""},
	}
	if l.Bytes > 0 {
		fields = append(fields, [2]string{"filler", filler(rng, l.Bytes)})
	}
	return append(fields, [2]string{fieldCRC, checksum(fields)})
}

func filler(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rng.Uint32()%26)
	}
	return string(b)
}

// checksum does not depend on order: JSON objects come back in another one.
func checksum(fields [][2]string) string {
	sorted := slices.Clone(fields)
	slices.SortFunc(sorted, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, f := range sorted {
		fmt.Fprintf(sum, "%d:%s%d:%s", len(f[0]), f[0], len(f[1]), f[1])
	}
	return fmt.Sprintf("%08x", sum.Sum32())
}
