package kafka

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flushline/flushline/queue"
)

// rows is stricter than sourceRows: nobody chose to lose letters, and this
// topic is ours.
func (c companion) rows(d, source *described) []setting {
	return append(c.kept(d, source), c.safe(d, source)...)
}

// kept are the settings that remove records, or take none.
func (c companion) kept(d, source *described) []setting {
	policy := d.settings[cleanupPolicy]
	if c.compacted {
		return []setting{{
			bad: d.settings != nil && policy != "compact", severity: queue.Error, field: cleanupPolicy, found: policy, wanted: "compact",
			why: c.records + " would be deleted by their age, and what they are about would be open again", change: "compact",
		}}
	}
	gone := c.records + " nobody has read would be deleted"
	kept, knowsKept := d.number(retentionTime)
	bytes, knowsBytes := d.number(retentionBytes)
	limit, knowsLimit := d.limit()
	sourceLimit, _ := source.limit()
	need := limitFor(sourceLimit)
	return []setting{
		{
			bad: d.settings != nil && policy != "delete", severity: queue.Error, field: cleanupPolicy, found: policy, wanted: "delete",
			why: c.record + " would be removed when another has its key, and one without key refused", change: "delete",
		},
		{bad: knowsKept && kept >= 0, severity: queue.Error, field: retentionTime, found: strconv.FormatInt(kept, 10), wanted: "-1 (for ever)", why: gone, change: "-1"},
		{bad: knowsBytes && bytes >= 0, severity: queue.Error, field: retentionBytes, found: strconv.FormatInt(bytes, 10), wanted: "-1 (no limit)", why: gone, change: "-1"},
		{
			bad: knowsLimit && limit < need, severity: queue.Error, field: maxMessageBytes, found: strconv.Itoa(limit), wanted: strconv.Itoa(need),
			why: "the largest messages of the source, with the headers of " + c.record + ", would not fit", change: strconv.Itoa(need),
		},
	}
}

// safe are the settings by which records survive.
func (c companion) safe(d, source *described) []setting {
	unclean := d.settings[uncleanElection]
	inSync, knowsInSync := d.number(minInSyncReplicas)
	wanted, knowsWanted := source.number(minInSyncReplicas)
	wanted = min(wanted, int64(d.replicas))
	return []setting{
		{
			bad: knowsInSync && inSync > int64(d.replicas), severity: queue.Error, field: minInSyncReplicas, found: strconv.FormatInt(inSync, 10),
			wanted: fmt.Sprintf("at most the replication factor (%d)", d.replicas), why: "no " + strings.TrimPrefix(c.record, "a ") + " would ever be confirmed", change: strconv.FormatInt(max(wanted, 1), 10),
		},
		{
			bad: knowsInSync && knowsWanted && inSync < wanted, severity: queue.Warning, field: minInSyncReplicas, found: strconv.FormatInt(inSync, 10), wanted: strconv.FormatInt(wanted, 10),
			why: c.records + " survive less than the source's messages do", change: strconv.FormatInt(wanted, 10),
		},
		{
			bad: d.replicas < source.replicas, severity: queue.Warning, field: "replication factor", found: strconv.Itoa(d.replicas), wanted: strconv.Itoa(source.replicas),
			why: c.records + " survive less than the source's messages do", mend: "kafka-reassign-partitions.sh",
		},
		{
			bad: unclean == "true", severity: queue.Warning, field: uncleanElection, found: unclean, wanted: "false",
			why: "a replica that misses " + c.records + " may become leader", change: "false",
		},
	}
}
