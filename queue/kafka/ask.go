package kafka

import (
	"context"
	"fmt"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// readSettings fills in the settings of topics that this user may read.
func readSettings(ctx context.Context, client *wire.Client, cluster *wire.Cluster, all map[string]*described) error {
	if len(all) == 0 {
		return nil
	}
	var rs []wire.Resource
	for name := range all {
		rs = append(rs, wire.TopicResource(name))
	}
	answers, err := client.DescribeConfigs(ctx, anyBroker(cluster), rs)
	if err != nil {
		return fmt.Errorf("couldn't ask for the settings of topics: %w", err)
	}
	for name, d := range all {
		answer := answers[wire.TopicResource(name)]
		if answer.Err != nil {
			continue // mostly for want of a right: it is then not compared
		}
		d.settings = map[string]string{}
		for key, s := range answer.Values {
			d.settings[key] = s.Value
		}
	}
	return nil
}

// anyBroker is the controller if it is known: it is up, as far as anybody knows.
func anyBroker(cluster *wire.Cluster) string {
	if b, ok := cluster.Brokers[cluster.Controller]; ok {
		return b.Addr()
	}
	for _, b := range cluster.Brokers {
		return b.Addr()
	}
	return ""
}

// controller is the address to send changes to.
func controller(ctx context.Context, client *wire.Client) (string, error) {
	cluster, err := client.Metadata(ctx, []string{})
	if err != nil {
		return "", fmt.Errorf("couldn't ask for the controller: %w", err)
	}
	return anyBroker(cluster), nil
}

func createTopic(ctx context.Context, client *wire.Client, name string, t newTopic) error {
	addr, err := controller(ctx, client)
	if err != nil {
		return err
	}
	failed, err := client.CreateTopics(ctx, addr, []wire.NewTopic{{
		Name: name, Partitions: orMinusOne[int32](t.partitions), Replicas: orMinusOne[int16](t.replicas), Configs: t.settings,
	}}, false)
	if err != nil {
		return err
	}
	return failed[name]
}

func orMinusOne[N int16 | int32](n int) N {
	if n <= 0 {
		return -1
	}
	return N(n)
}

// alterSettings writes what findings want.
func alterSettings(ctx context.Context, client *wire.Client, topic string, fs []Finding) error {
	addr, err := controller(ctx, client)
	if err != nil {
		return err
	}
	set := map[string]string{}
	for _, f := range fs {
		set[f.Field] = f.change
	}
	r := wire.TopicResource(topic)
	failed, err := client.AlterConfigs(ctx, addr, []wire.Change{{Resource: r, Set: set}}, false)
	if err != nil {
		return err
	}
	return failed[r]
}
