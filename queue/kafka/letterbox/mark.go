package letterbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// mark says that a letter is resolved.
type mark struct {
	partition int32
	runs      []run // of all its records, in order
}

// run is offsets in a row, both of them included.
type run struct{ from, to int64 }

// markValue is the value of a mark's record.
type markValue struct {
	Offsets string `json:"offsets"` // "5-8,11"
}

// unknown stands for the id of a topic in brokers before 2.8, which have none.
const unknown = "-"

// markKey is the key of a letter's mark, in the topic with an id.
func markKey(at wire.TopicPartition, stamp string, l *queue.Letter) string {
	return fmt.Sprintf("%d/%d/%d/%s", at.Partition, l.Places[0].Position, l.Time.UnixMilli(), cmp.Or(stamp, unknown))
}

// markOf is the record of a letter's mark.
func markOf(at wire.TopicPartition, stamp string, l *queue.Letter) queue.Message {
	value, _ := json.Marshal(markValue{Offsets: textOf(runsOf(l))}) // strings are always encoded
	return queue.Message{Key: []byte(markKey(at, stamp, l)), Value: value}
}

// parseMark reads a mark. What is none was written by a later version, or by nobody who
// should: it resolves nothing.
func parseMark(m *queue.Message) (mark, bool) {
	number, _, _ := strings.Cut(string(m.Key), "/")
	partition, err := strconv.ParseInt(number, 10, 32)
	var v markValue
	if err != nil || json.Unmarshal(m.Value, &v) != nil {
		return mark{}, false
	}
	runs, err := parseRuns(v.Offsets)
	return mark{int32(partition), runs}, err == nil
}

// covers says whether a mark names all records of a letter.
func (m mark) covers(l *queue.Letter) bool {
	return !slices.ContainsFunc(l.Places, func(p queue.Place) bool {
		return !slices.ContainsFunc(m.runs, func(r run) bool { return r.from <= p.Position && p.Position <= r.to })
	})
}

// last is the highest offset that a mark names.
func (m mark) last() int64 { return m.runs[len(m.runs)-1].to }

func runsOf(l *queue.Letter) []run {
	var runs []run
	for _, at := range positions(l) {
		if n := len(runs); n > 0 && at <= runs[n-1].to+1 {
			runs[n-1].to = at
		} else {
			runs = append(runs, run{at, at})
		}
	}
	return runs
}

// positions are where the records of a letter lie, in order.
func positions(l *queue.Letter) []int64 {
	all := make([]int64, len(l.Places))
	for i, p := range l.Places {
		all[i] = p.Position
	}
	slices.Sort(all)
	return all
}

func textOf(runs []run) string {
	words := make([]string, len(runs))
	for i, r := range runs {
		words[i] = strconv.FormatInt(r.from, 10)
		if r.to > r.from {
			words[i] += "-" + strconv.FormatInt(r.to, 10)
		}
	}
	return strings.Join(words, ",")
}

func parseRuns(text string) ([]run, error) {
	var runs []run
	for _, word := range strings.Split(text, ",") {
		first, last, several := strings.Cut(word, "-")
		if !several {
			last = first
		}
		from, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return nil, err
		}
		to, err := strconv.ParseInt(last, 10, 64)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run{from, to})
	}
	return runs, nil
}
