package cmd

import (
	"bytes"
	"io"
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

var shopRoutes = &configs.Config{
	File:   "shop.yaml",
	Routes: []configs.Route{{Name: "shop", Flushers: []configs.Entry{{Name: "es"}}}},
}

// printing is a program whose output is kept.
func printing() (*program, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return &program{stdin: strings.NewReader(""), stdout: out, stderr: io.Discard}, out
}

// groupLetter is a letter with one LogGroup of one log.
func groupLetter(position int64, text string) *queue.Letter {
	l := permanentLetter(position, "400")
	g := &protocol.LogGroup{
		Topic: "t", LogTags: []*protocol.LogTag{{Key: "host", Value: "secret-host"}},
		Logs: []*protocol.Log{{Time: 1767355200, Contents: []*protocol.Log_Content{{Key: "msg", Value: text}}, Values: []string{"positional"}}},
	}
	l.Value = g.AppendMarshal(nil)
	l.Headers = append(l.Headers,
		queue.Header{Key: queue.HeaderOrigin, Value: queue.Origin{byte(position), 7}.String()},
		queue.Header{Key: queue.HeaderGroups, Value: "3"},
		queue.Header{Key: "trace", Value: "abc"},
	)
	return l
}
