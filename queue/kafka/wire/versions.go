package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go/protocol"
)

// The calls at the versions they are sent in: the last ones before the flexible
// formats, all known to brokers from 2.4 to 4.x.
var (
	apiProduce        = api{protocol.Produce, 8}
	apiFetch          = api{protocol.Fetch, 11}
	apiListOffsets    = api{protocol.ListOffsets, 5}
	apiMetadata       = api{protocol.Metadata, 8}
	apiCommit         = api{protocol.OffsetCommit, 7}
	apiCommitted      = api{protocol.OffsetFetch, 5}
	apiCoordinator    = api{protocol.FindCoordinator, 2}
	apiJoin           = api{protocol.JoinGroup, 5}
	apiHeartbeat      = api{protocol.Heartbeat, 3}
	apiLeave          = api{protocol.LeaveGroup, 3}
	apiSync           = api{protocol.SyncGroup, 3}
	apiDescribeGroups = api{protocol.DescribeGroups, 4}
	apiCreateTopics   = api{protocol.CreateTopics, 4}
	apiDeleteTopics   = api{protocol.DeleteTopics, 3}
	apiDeleteRecords  = api{protocol.DeleteRecords, 1}
	apiConfigs        = api{protocol.DescribeConfigs, 2}
	apiAlterConfigs   = api{protocol.IncrementalAlterConfigs, 0}
)

// needed is what consuming and dead letters need. The calls of setup are left out:
// it says itself what it misses.
var needed = []api{
	apiProduce, apiFetch, apiListOffsets, apiMetadata, apiCommit, apiCommitted, apiCoordinator,
	apiJoin, apiHeartbeat, apiLeave, apiSync, apiDescribeGroups, apiConfigs,
}

// APIVersions asks a broker which calls it knows: by API key, the oldest and the
// newest version.
func (c *Client) APIVersions(ctx context.Context, addr string) (map[int16][2]int16, error) {
	var versions map[int16][2]int16
	err := c.do(ctx, addr, &call{api: apiVersions, op: "ask for API versions"}, func(d *decoder) (err error) {
		versions, err = parseVersions(d)
		return err
	})
	return versions, err
}

// CheckVersions finds what a broker is too old or too new for, all of it at once.
func (c *Client) CheckVersions(ctx context.Context, addr string) error {
	versions, err := c.APIVersions(ctx, addr)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range needed {
		errs = append(errs, checkVersion(a, versions))
	}
	if err := errors.Join(errs...); err != nil {
		return c.wrap("use", addr, fmt.Errorf("it is none of Apache Kafka 2.4 to 4.x: %w", err))
	}
	return nil
}
