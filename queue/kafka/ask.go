package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
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
	answers, err := describeConfigs(ctx, client, cluster, rs)
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

// describeConfigs asks one broker after the other: each of them knows the topics.
func describeConfigs(ctx context.Context, client *wire.Client, cluster *wire.Cluster, rs []wire.Resource) (answers map[wire.Resource]wire.Settings, err error) {
	for _, addr := range controllerFirst(cluster) {
		asking, cancel := context.WithTimeout(ctx, brokerPatience)
		answers, err = client.DescribeConfigs(asking, addr, rs)
		cancel()
		if err == nil || !wire.IsTransport(err) || ctx.Err() != nil {
			return answers, err
		}
	}
	return answers, err
}

// controllerFirst are the addresses of a cluster's brokers.
func controllerFirst(cluster *wire.Cluster) []string {
	var addrs []string
	for id, b := range cluster.Brokers {
		addrs = append(addrs, b.Addr())
		if id == cluster.Controller {
			addrs[0], addrs[len(addrs)-1] = addrs[len(addrs)-1], addrs[0]
		}
	}
	return addrs
}

// controller is the address to send changes to.
func controller(ctx context.Context, client *wire.Client) (string, error) {
	cluster, err := client.Metadata(ctx, []string{})
	if err != nil {
		return "", fmt.Errorf("couldn't ask for the controller: %w", err)
	}
	return controllerFirst(cluster)[0], nil // an answer names one broker at least
}

// atCoordinator asks the coordinator of a group. In a new cluster there is none for
// a few seconds, until the topic of the offsets was made; later it may move.
func atCoordinator(ctx context.Context, client *wire.Client, group string, ask func(ctx context.Context, addr string) error) error {
	for pause := newPause(); ; {
		b, err := client.Coordinator(ctx, group)
		if err == nil {
			err = ask(ctx, b.Addr())
		}
		if !wire.IsCoordinatorMoved(err) || wire.IsPermanent(err) || !pauseFor(ctx, pause.NextBackOff()) {
			return err
		}
	}
}

// Committed is what a group has committed of partitions; one without is left out. It
// joins nothing and changes nothing.
func Committed(ctx context.Context, client *wire.Client, group string, ps []wire.TopicPartition) (map[wire.TopicPartition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	found := map[wire.TopicPartition]int64{}
	err := atCoordinator(ctx, client, group, func(ctx context.Context, addr string) error {
		got, err := client.Committed(ctx, addr, group, ps)
		if errors.Is(err, kafkago.GroupIdNotFound) {
			return nil // some brokers say this instead of "no offsets"
		}
		for at, c := range got {
			if c.Err != nil {
				return fmt.Errorf("%s: %w", at, c.Err)
			}
			if c.Offset >= 0 {
				found[at] = c.Offset
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't ask what group %s has committed: %w", group, advised(err))
	}
	return found, nil
}

// createTopic returns when the topic can be used, as far as one broker knows.
func createTopic(ctx context.Context, client *wire.Client, name string, t newTopic) error {
	addr, err := controller(ctx, client)
	if err != nil {
		return err
	}
	failed, err := client.CreateTopics(ctx, addr, []wire.NewTopic{{
		Name: name, Partitions: orMinusOne[int32](t.partitions), Replicas: orMinusOne[int16](t.replicas), Configs: t.settings,
	}}, false)
	if err == nil {
		err = failed[name]
	}
	if err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		cluster, err := client.Metadata(ctx, []string{name})
		if err != nil {
			return false, err
		}
		ps := cluster.Topics[name].Partitions
		led := !slices.ContainsFunc(ps, func(p wire.Partition) bool { return p.Leader < 0 })
		return len(ps) > 0 && led, nil
	})
}

var errNotYet = errors.New("it is done, but the brokers do not show it yet")

// until waits for what the controller has accepted to be seen by the brokers. The
// error is the last answer's.
func until(ctx context.Context, seen func() (bool, error)) error {
	for pause := newPause(); ; {
		ok, err := seen()
		if ok {
			return nil
		}
		if !pauseFor(ctx, pause.NextBackOff()) {
			return errors.Join(errNotYet, err)
		}
	}
}

func orMinusOne[N int16 | int32](n int) N {
	if n <= 0 {
		return -1
	}
	return N(n)
}

// alterSettings writes what findings want and returns when it can be read.
func alterSettings(ctx context.Context, client *wire.Client, topic string, fs []queue.Finding) error {
	addr, err := controller(ctx, client)
	if err != nil {
		return err
	}
	set := map[string]string{}
	for _, f := range fs {
		set[f.Field] = fmt.Sprint(f.Change)
	}
	r := wire.TopicResource(topic)
	failed, err := client.AlterConfigs(ctx, addr, []wire.Change{{Resource: r, Set: set}}, false)
	if err == nil {
		err = failed[r]
	}
	if err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		answers, err := client.DescribeConfigs(ctx, addr, []wire.Resource{r})
		if err != nil {
			return false, err
		}
		for name, value := range set {
			if answers[r].Values[name].Value != value {
				return false, answers[r].Err
			}
		}
		return true, nil
	})
}
