package kafka

import (
	"strings"
	"testing"
)

func TestNamesOfJobTopics(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string][2]string{
		JobTopic("logs", "flushline", "nightly"): {"logs.flushline", "nightly"},
		JobTopic("a.b", "eu.live", "fix_42"):     {"a.b.eu.live", "fix_42"},
		JobTopic("logs", "x.job.y", "z"):         {"logs.x.job.y", "z"},
		"logs.job.z":                             {}, // no group
		"logs.flushline.job.":                    {},
		"logs.flushline.job.a.b":                 {}, // no name of a job
		".flushline.job.z":                       {},
		"logs.flushline.dlq":                     {},
		"logs.flushline.dlq.done":                {},
		"logs.flushline.done":                    {},
	} {
		owner, name, ok := parseJobTopic(topic)
		if got := [2]string{owner, name}; ok != (want != [2]string{}) || ok && got != want {
			t.Errorf("%s is %v, %v, want %v", topic, got, ok, want)
		}
		if isCompanion(topic) != (ok || strings.Contains(topic, ".flushline.dlq")) {
			t.Errorf("%s is a companion: %v", topic, isCompanion(topic))
		}
	}
}
