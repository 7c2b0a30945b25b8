package worker

import (
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// While the budget is overdrawn a strand waits with what becomes larger at intake,
// and takes in what stays as it is.
func TestOnlyWhatIsRewrittenWaitsForBudget(t *testing.T) {
	t.Parallel()
	group := (&protocol.LogGroup{Logs: []*protocol.Log{{Time: 1}}}).AppendMarshal(nil)
	header := func(key, value string) []queue.Header { return []queue.Header{{Key: key, Value: value}} }
	for name, c := range map[string]struct {
		m    queue.Message
		f    protocol.Format
		want bool
	}{
		"LogGroup":                 {queue.Message{Value: group}, protocol.FormatLogGroup, false},
		"LogGroup by its bytes":    {queue.Message{Value: group}, protocol.FormatAuto, false},
		"LogGroup by its header":   {queue.Message{Value: group, Headers: header("content-type", protocol.TypeLogGroup)}, protocol.FormatJSON, false},
		"compressed":               {queue.Message{Value: group, Headers: header("content-encoding", "zstd")}, protocol.FormatLogGroup, true},
		"JSON":                     {queue.Message{Value: []byte("{}")}, protocol.FormatJSON, true},
		"JSON by its bytes":        {queue.Message{Value: []byte("{}")}, protocol.FormatAuto, true},
		"text by its header":       {queue.Message{Value: []byte("x"), Headers: header("Content-Type", "text/plain")}, protocol.FormatAuto, true},
		"a package":                {queue.Message{Value: group}, protocol.FormatPackage, true},
		"what nobody can tell":     {queue.Message{Value: []byte("x")}, protocol.FormatAuto, false},
		"an unknown content type":  {queue.Message{Value: group, Headers: header("content-type", "image/png")}, protocol.FormatJSON, false},
		"an empty header is none":  {queue.Message{Value: group, Headers: header("content-type", "")}, protocol.FormatJSON, true},
		"an empty value in a list": {queue.Message{}, protocol.FormatLogGroupList, false},
	} {
		w := &Worker{held: newHeldPool(100)}
		w.cfg.Payload.Format = c.f
		s := &strand{w: w}
		var d queue.Delivery
		d.Init(c.m, queue.Origin{}, 1, 10, nil, nil)
		if s.tight(&d) {
			t.Errorf("%s waits although there is room", name)
		}
		w.held.Charge(101)
		if got := s.tight(&d); got != c.want {
			t.Errorf("%s: waits %v, want %v", name, got, c.want)
		}
	}
}
