package sim

import (
	"fmt"
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// headerNumber carries a message's number, into dead letters too.
const headerNumber = "x-sim-number"

// The routes of every world: "both" has two flushers, "rest" one, and keys of project
// "lost" have none.
const (
	routeBoth = "both"
	routeRest = "rest"
)

var entries = []string{"both/a", "both/b", "rest/c"}

// message is one that a world publishes, and its groups by their ids.
type message struct {
	queue.Message
	number int
	groups map[string][]byte
	routes []string // the entries that have to get each group; none: it becomes a dead letter
}

// groupID is the id inside of a group's only log.
func groupID(g *protocol.LogGroup) string {
	if len(g.Logs) == 0 || len(g.Logs[0].Contents) == 0 {
		return ""
	}
	return g.Logs[0].Contents[0].Value
}

// newMessage makes the n-th message of a world.
func newMessage(t testing.TB, d *dice, n int) *message {
	t.Helper()
	m := &message{number: n, groups: map[string][]byte{}}
	store := d.n(6)
	project, logstore := "shop", fmt.Sprint("rest", store)
	m.routes = entries[2:]
	if store < 3 {
		logstore, m.routes = fmt.Sprint("both", store), entries[:2]
	}
	head := func(key, value string) { m.Headers = append(m.Headers, queue.Header{Key: key, Value: value}) }
	head(headerNumber, fmt.Sprint(n))
	damaged := d.one(25)
	if d.one(25) {
		project, m.routes = "lost", nil
	}
	head(protocol.HeaderProject, project)
	head(protocol.HeaderLogstore, logstore)
	head(protocol.HeaderConfig, "c")
	if damaged {
		m.routes = nil
		m.Value = []byte{0xff, 0xff, byte(n)}
		return m
	}
	list := &protocol.LogGroupList{}
	for i := range pick(d, 1, 1, 1, 2, 4) {
		list.LogGroupList = append(list.LogGroupList, m.group(t, d, i))
	}
	var err error
	if len(list.LogGroupList) == 1 {
		m.Value, err = list.LogGroupList[0].Marshal()
	} else {
		head(protocol.HeaderContentType, protocol.TypeLogGroupList)
		m.Value, err = list.Marshal()
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.one(4) {
		head(protocol.HeaderContentEncoding, protocol.EncodingGzip.String())
		if m.Value, err = protocol.Compress(nil, m.Value, protocol.EncodingGzip); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *message) group(t testing.TB, d *dice, i int) *protocol.LogGroup {
	t.Helper()
	id := fmt.Sprint(m.number, ".", i)
	g := &protocol.LogGroup{
		Topic: string(make([]byte, d.n(2000))),
		Logs:  []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "id", Value: id}}}},
	}
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m.groups[id] = b
	return g
}
