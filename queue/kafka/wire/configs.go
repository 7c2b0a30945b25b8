package wire

import (
	"context"
	"maps"
	"slices"
	"strconv"
)

// Resource is something that has a configuration: a topic or a broker.
type Resource struct {
	kind int8
	name string
}

// TopicResource is the topic with that name.
func TopicResource(name string) Resource { return Resource{2, name} }

// BrokerResource is the broker with that id. Only the broker itself knows it.
func BrokerResource(id int32) Resource { return Resource{4, strconv.Itoa(int(id))} }

// String is the resource as errors show it: topic logs, broker 1.
func (r Resource) String() string {
	if r.kind == 2 {
		return "topic " + r.name
	}
	return "broker " + r.name
}

// Setting is one value of a configuration. Default says that nobody set it at the
// resource itself.
type Setting struct {
	Value     string // "" where the broker does not tell, as for secrets
	Default   bool
	ReadOnly  bool
	Sensitive bool
}

// Settings is a configuration by key, or why it cannot be read.
type Settings struct {
	Values map[string]Setting
	Err    error
}

// DescribeConfigs reads whole configurations.
func (c *Client) DescribeConfigs(ctx context.Context, addr string, rs []Resource) (map[Resource]Settings, error) {
	found := map[Resource]Settings{}
	err := c.do(ctx, addr, &call{
		api: apiConfigs, op: "describe configurations",
		body: func(e *encoder) {
			e.count(len(rs))
			for _, r := range rs {
				e.resource(r)
				e.count(-1) // every key
			}
			e.bool(false) // no synonyms
		},
	}, func(d *decoder) error {
		for _, r := range rs {
			found[r] = Settings{Err: errUnnamed}
		}
		d.throttle()
		for range d.count(11) {
			verdict := d.verdict()
			r := d.resource()
			found[r] = Settings{Values: parseSettings(d, r), Err: verdict}
		}
		return d.err
	})
	return outcome(found, err)
}

func parseSettings(d *decoder, r Resource) map[string]Setting {
	own := int8(1) // set at the topic
	if r.kind == 4 {
		own = 2 // set at the broker, while it runs; what its file sets (4) counts as default
	}
	values := map[string]Setting{}
	for range d.count(11) {
		key := d.str()
		s := Setting{Value: d.str(), ReadOnly: d.bool(), Default: d.int8() != own, Sensitive: d.bool()}
		for range d.count(5) { // synonyms, not asked for
			d.str()
			d.str()
			d.int8()
		}
		values[key] = s
	}
	return values
}

func (e *encoder) resource(r Resource) {
	e.int8(r.kind)
	e.str(r.name)
}

func (d *decoder) resource() Resource { return Resource{d.int8(), d.str()} }

// Change alters some keys of one configuration and leaves the others.
type Change struct {
	Resource
	Set   map[string]string
	Unset []string // back to the default
}

// AlterConfigs changes configurations, or says what would happen if validateOnly.
// The map holds only failures.
func (c *Client) AlterConfigs(ctx context.Context, addr string, changes []Change, validateOnly bool) (map[Resource]error, error) {
	failed := map[Resource]error{}
	err := c.do(ctx, addr, &call{
		api: apiAlterConfigs, op: "alter configurations",
		body: func(e *encoder) {
			e.count(len(changes))
			for _, ch := range changes {
				e.change(ch)
			}
			e.bool(validateOnly)
		},
	}, func(d *decoder) error {
		for _, ch := range changes {
			failed[ch.Resource] = errUnnamed
		}
		d.throttle()
		for range d.count(7) {
			verdict := d.verdict()
			note(failed, d.resource(), verdict)
		}
		return d.err
	})
	return outcome(failed, err)
}

func (e *encoder) change(ch Change) {
	e.resource(ch.Resource)
	e.count(len(ch.Set) + len(ch.Unset))
	for _, key := range slices.Sorted(maps.Keys(ch.Set)) {
		e.str(key)
		e.int8(0) // set
		e.str(ch.Set[key])
	}
	for _, key := range ch.Unset {
		e.str(key)
		e.int8(1) // delete
		e.nullable("")
	}
}
