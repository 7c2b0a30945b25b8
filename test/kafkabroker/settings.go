package kafkabroker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The listener that brokers, controllers' clients and the helpers of this package
// use; when SASL, TLS or another address is asked for, clients get a second one.
const (
	internalListener   = "INTERNAL"
	clientListener     = "CLIENT"
	controllerListener = "CONTROLLER"
)

// settings are the properties of one node. Checks that wait for minutes in
// production wait for a second here.
func (c *Cluster) settings(n *Node) map[string]string {
	copies := min(len(c.nodes), 3)
	isr := max(1, copies-1)
	s := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          fmt.Sprint(n.id),
		"controller.quorum.voters":                         c.voters(),
		"listeners":                                        strings.Join(n.listeners(), ","),
		"advertised.listeners":                             strings.Join(n.advertisedListeners(), ","),
		"controller.listener.names":                        controllerListener,
		"inter.broker.listener.name":                       internalListener,
		"listener.security.protocol.map":                   c.protocols(),
		"log.dirs":                                         n.dir + "/data",
		"auto.create.topics.enable":                        "false",
		"offsets.topic.replication.factor":                 fmt.Sprint(copies),
		"offsets.topic.num.partitions":                     "3",
		"transaction.state.log.replication.factor":         fmt.Sprint(copies),
		"transaction.state.log.min.isr":                    fmt.Sprint(isr),
		"transaction.state.log.num.partitions":             "3",
		"share.coordinator.state.topic.replication.factor": fmt.Sprint(copies),
		"share.coordinator.state.topic.min.isr":            fmt.Sprint(isr),
		"share.coordinator.state.topic.num.partitions":     "1",
		"default.replication.factor":                       fmt.Sprint(copies),
		"min.insync.replicas":                              fmt.Sprint(isr),
		"group.initial.rebalance.delay.ms":                 "0",
		"group.min.session.timeout.ms":                     "1000",
		"broker.session.timeout.ms":                        "4000",
		"broker.heartbeat.interval.ms":                     "500",
		"log.retention.check.interval.ms":                  "1000",
		"log.initial.task.delay.ms":                        "500",
		"log.segment.delete.delay.ms":                      "100",
		"log.cleaner.backoff.ms":                           "500",
		"log.cleaner.dedupe.buffer.size":                   "4194304",
		"log.index.size.max.bytes":                         "1048576",
		"num.network.threads":                              "2",
		"num.io.threads":                                   "4",
	}
	maps.Copy(s, c.security())
	maps.Copy(s, c.options.Props)
	return s
}

// properties is the file form, sorted so that two files compare.
func properties(s map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s=%s\n", k, strings.ReplaceAll(s[k], `\`, `\\`))
	}
	return b.String()
}

func (c *Cluster) voters() string {
	voters := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		voters[i] = fmt.Sprintf("%d@127.0.0.1:%d", n.id, n.controller)
	}
	return strings.Join(voters, ",")
}

// advertisedListeners are those that a broker tells others of.
func (n *Node) advertisedListeners() []string {
	l := n.listeners()[1:]
	if n.client == n.internal {
		return l
	}
	return []string{l[0], fmt.Sprintf("%s://%s", clientListener, n.advertised)}
}

// listeners is the controller's, the internal one and, if there is one, that of
// clients.
func (n *Node) listeners() []string {
	l := []string{
		fmt.Sprintf("%s://127.0.0.1:%d", controllerListener, n.controller),
		fmt.Sprintf("%s://127.0.0.1:%d", internalListener, n.internal),
	}
	if n.client != n.internal {
		l = append(l, fmt.Sprintf("%s://127.0.0.1:%d", clientListener, n.client))
	}
	return l
}
