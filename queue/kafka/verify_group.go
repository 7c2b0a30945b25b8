package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Settings of brokers that a group depends on.
const (
	minSession      = "group.min.session.timeout.ms"
	maxSession      = "group.max.session.timeout.ms"
	offsetRetention = "offsets.retention.minutes"
)

// brokerPatience bounds the question to each broker: one that is down must not use
// up the time of the rest.
const brokerPatience = 5 * time.Second

// brokers asks every broker what it speaks, where its metadata says it listens.
func (v *verifier) brokers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	ids := v.brokerIDs()
	answers := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { answers[i] = v.client.CheckVersions(ctx, v.cluster.Brokers[id].Addr()) })
	}
	wg.Wait()
	for i, id := range ids {
		if answers[i] != nil {
			v.broker(v.cluster.Brokers[id], answers[i])
		}
	}
}

func (v *verifier) brokerIDs() []int32 {
	var ids []int32
	for id := range v.cluster.Brokers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (v *verifier) broker(b wire.Broker, err error) {
	f := queue.Finding{
		Severity: queue.Warning, Object: fmt.Sprintf("broker %d (%s)", b.ID, b.Addr()), Field: "state", Found: "away: " + err.Error(), Wanted: "an answer",
		Why: "the partitions that it leads are not read", Mend: wire.Advice(err),
	}
	if errors.Is(err, kafkago.UnsupportedVersion) {
		f.Severity, f.Field, f.Found, f.Wanted = queue.Error, "version", err.Error(), "Apache Kafka 2.4 to 4.x"
	}
	if f.Mend == "" {
		f.Mend = "see whether it runs, and its log"
	}
	v.add(f)
}

// brokerSettings reads the settings of one broker; nil if this user may not.
func (v *verifier) brokerSettings(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	id := v.cluster.Controller
	b, ok := v.cluster.Brokers[id]
	if !ok {
		return nil
	}
	r := wire.BrokerResource(id)
	answer, err := v.client.DescribeConfigs(ctx, b.Addr(), []wire.Resource{r})
	if err != nil || answer[r].Err != nil {
		return nil // the join tells what it would have told
	}
	settings := map[string]string{}
	for key, s := range answer[r].Values {
		settings[key] = s.Value
	}
	return settings
}

func (v *verifier) group(ctx context.Context, settings map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	v.session(settings)
	var g *wire.GroupDescription
	err := atCoordinator(ctx, v.client, v.cfg.Group, func(ctx context.Context, addr string) (err error) {
		if err = v.member(ctx, addr); err == nil {
			g, err = v.client.DescribeGroup(ctx, addr, v.cfg.Group)
		}
		return err
	})
	switch {
	case errors.Is(err, kafkago.GroupAuthorizationFailed):
		v.add(queue.Finding{
			Severity: queue.Error, Object: "group " + v.cfg.Group, Field: "rights", Found: "not to be joined by this user", Wanted: "Read and Describe",
			Why: "nothing would be delivered", Mend: v.acl("Read,Describe", "group", v.cfg.Group),
		})
		return nil
	case err != nil:
		return fmt.Errorf("couldn't ask for group %s: %w", v.cfg.Group, err)
	}
	v.protocol(g)
	return nil
}

// member beats as a member that the group does not have: the coordinator looks at
// rights before it says so. It changes nothing.
func (v *verifier) member(ctx context.Context, addr string) error {
	err := v.client.Heartbeat(ctx, addr, wire.Membership{Group: v.cfg.Group, Member: "flushline-check", Generation: 1})
	if errors.Is(err, kafkago.GroupAuthorizationFailed) || wire.IsCoordinatorMoved(err) {
		return err
	}
	return nil
}

// ourProtocols is how the names of the assignment protocols of package group begin.
const ourProtocols = "flushline"

// protocol compares what the members of a living group speak with what we do.
func (v *verifier) protocol(g *wire.GroupDescription) {
	f := queue.Finding{
		Severity: queue.Error, Object: "group " + v.cfg.Group, Why: "the coordinator refuses members that speak something else (inconsistent group protocol)",
		Mend: "stop its members (" + clients(g) + "), or choose another group",
	}
	switch {
	case len(g.Members) == 0:
		return
	case g.Type != "consumer":
		f.Field, f.Found, f.Wanted = "protocol type", g.Type, "consumer"
	case g.Protocol != "" && !strings.HasPrefix(g.Protocol, ourProtocols):
		f.Field, f.Found, f.Wanted = "assignment protocol", g.Protocol, "that of flushline's pods"
	default:
		return
	}
	v.add(f)
}

func clients(g *wire.GroupDescription) string {
	var names []string
	for _, m := range g.Members {
		if name := m.Client + " on " + strings.TrimPrefix(m.Host, "/"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 5 {
		names = append(names[:5], "...")
	}
	return strings.Join(names, ", ")
}

// session compares Config.Session with what brokers accept.
func (v *verifier) session(settings map[string]string) {
	least, most := millis(settings[minSession]), millis(settings[maxSession])
	f := queue.Finding{
		Severity: queue.Error, Object: "group " + v.cfg.Group, Field: "session", Found: v.cfg.Session.String(),
		Why: "the coordinator refuses the member (invalid session timeout)",
	}
	switch {
	case least > 0 && v.cfg.Session < least:
		f.Wanted = fmt.Sprintf("at least %v (%s)", least, minSession)
		f.Mend = fmt.Sprintf("source: {kafka: {session: %v}} in the configuration", least)
	case most > 0 && v.cfg.Session > most:
		f.Wanted = fmt.Sprintf("at most %v (%s)", most, maxSession)
		f.Mend = fmt.Sprintf("source: {kafka: {session: %v}} in the configuration", most)
	default:
		return
	}
	v.add(f)
}

func millis(text string) time.Duration {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0 // not known
	}
	return time.Duration(n) * time.Millisecond
}

// offsetRetention warns where a stopped group forgets its place before the messages
// behind it are gone.
func (v *verifier) offsetRetention(settings map[string]string, names []string, found map[string]*described) {
	minutes, err := strconv.ParseInt(settings[offsetRetention], 10, 64)
	if err != nil || minutes <= 0 {
		return
	}
	kept := time.Duration(minutes) * time.Minute
	for _, name := range names {
		d := found[name]
		if d == nil {
			continue
		}
		if ms, ok := d.number(retentionTime); !ok || ms >= 0 && ms <= kept.Milliseconds() {
			continue
		}
		then := "delivers everything again"
		switch v.cfg.Start {
		case StartEarliest:
		case StartLatest:
			then = "passes over what came meanwhile"
		default:
			then = "begins at start: " + v.cfg.Start
		}
		v.add(queue.Finding{
			Severity: queue.Warning, Object: "group " + v.cfg.Group, Field: offsetRetention, Found: fmt.Sprintf("%d (%v)", minutes, kept),
			Wanted: "no less than the topic's retention.ms",
			Why:    fmt.Sprintf("a group that is stopped for longer loses its committed offsets while topic %s still has messages: it then %s", name, then),
			Mend:   "restart the group before, or raise offsets.retention.minutes of the brokers",
		})
		return // once is enough
	}
}
