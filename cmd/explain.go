package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// explainOptions are a message, or its key at once, as somebody describes them.
type explainOptions struct {
	config string
	asJSON bool

	key        protocol.Key
	headers    []string
	subject    string
	messageKey string
	path       string
	tags       []string
	category   string
}

func newExplain(p *program) *cobra.Command {
	var o explainOptions
	c := &cobra.Command{
		Use:   "explain",
		Short: "Say which route and flushers take a key, and why the routes before do not",
		Long: `Says by a configuration alone, without a broker or a destination, what becomes of
LogGroups with a key: the route, its flushers with the place that each writes to, what
happens while one is blocked, and for each route before which pattern did not match.

Instead of parts of the key a message can be described: the key rules of the source are
then applied, and which rule gave what is said. A part that is given by its own flag is
taken as it is.

Exit codes: 0 a route takes it; 64 usage or configuration; 65 none does, or there is no
key: it would be a dead letter, or skipped.`,
		Example: `  flushline explain -c flushline.yaml --project shop --logstore web --config-name app
  flushline explain -c flushline.yaml --subject logs.shop.web.app
  flushline explain -c flushline.yaml --header x-log-project=shop --tag app=web --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return p.explain(&o) },
	}
	configFlag(p, c, &o.config)
	f := c.Flags()
	f.StringVar(&o.key.Project, "project", "", "the project, whatever the rules say")
	f.StringVar(&o.key.Logstore, "logstore", "", "the logstore, whatever the rules say")
	f.StringVar(&o.key.Config, "config-name", "", "the config, whatever the rules say")
	f.StringArrayVar(&o.headers, "header", nil, "a header of the message, as `NAME=VALUE`; may be repeated")
	f.StringVar(&o.subject, "subject", "", "its NATS subject, or its Kafka topic")
	f.StringVar(&o.messageKey, "message-key", "", "the key of the Kafka record")
	f.StringVar(&o.path, "path", "", "the file it stands in, below the root it was found under")
	f.StringArrayVar(&o.tags, "tag", nil, "a log tag of the group, as `NAME=VALUE`; may be repeated")
	f.StringVar(&o.category, "category", "", "the Category of the group")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	return c
}

func (p *program) explain(o *explainOptions) error {
	m, g, err := o.message()
	if err != nil {
		return usage(err)
	}
	cfg, _, err := p.load(o.config)
	if err != nil {
		return err
	}
	x, err := explainKey(cfg, o, m, g)
	if err != nil {
		return err
	}
	x.find(cfg, m)
	if o.asJSON {
		err = printJSON(p.stdout, x)
	} else {
		err = x.show(p.stdout)
	}
	if err == nil && x.Outcome != outcomeRouted {
		return shown(exitIncomplete)
	}
	return err
}

var errNoMessage = errors.New("which key? give --project, --logstore and --config-name, or what the key rules look at: --header, --subject, --message-key, --path, --tag, --category")

// message is the message and the group that the flags describe.
func (o *explainOptions) message() (*queue.Message, *protocol.Group, error) {
	if o.path != "" && o.subject != "" {
		return nil, nil, errors.New("a message has a --subject or a --path, not both")
	}
	m := &queue.Message{Subject: o.subject + o.path, Key: []byte(o.messageKey)}
	lg := &protocol.LogGroup{Category: o.category}
	for _, h := range o.headers {
		name, value, err := pairOf(h, "--header")
		if err != nil {
			return nil, nil, err
		}
		m.Headers = append(m.Headers, queue.Header{Key: name, Value: value})
	}
	for _, t := range o.tags {
		name, value, err := pairOf(t, "--tag")
		if err != nil {
			return nil, nil, err
		}
		lg.LogTags = append(lg.LogTags, &protocol.LogTag{Key: name, Value: value})
	}
	if o.key == (protocol.Key{}) && m.Subject == "" && len(m.Key) == 0 && len(m.Headers) == 0 && len(lg.LogTags) == 0 && o.category == "" {
		return nil, nil, errNoMessage
	}
	body, err := lg.Marshal()
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't make a group with these tags: %w", err)
	}
	_, groups, err := protocol.Scan(body, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't make a group with these tags: %w", err)
	}
	return m, &groups[0], nil
}

// pairOf cuts NAME=VALUE.
func pairOf(text, flag string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return "", "", fmt.Errorf("%s wants NAME=VALUE, got %q", flag, text)
	}
	return name, value, nil
}
