package kafkabroker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Allow grants a user operations on one resource, by its exact name; the cluster
// itself is named "kafka-cluster".
func (c *Cluster) Allow(tb TB, user string, kind kmsg.ACLResourceType, name string, operations ...kmsg.ACLOperation) {
	tb.Helper()
	c.do(tb, "grant "+user+" rights", func(ctx context.Context, cl *kgo.Client) error {
		req := kmsg.NewPtrCreateACLsRequest()
		for _, op := range operations {
			acl := kmsg.NewCreateACLsRequestCreation()
			acl.ResourceType, acl.ResourceName, acl.ResourcePatternType = kind, name, kmsg.ACLResourcePatternTypeLiteral
			acl.Principal, acl.Host = "User:"+user, "*"
			acl.Operation, acl.PermissionType = op, kmsg.ACLPermissionTypeAllow
			req.Creations = append(req.Creations, acl)
		}
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, r := range resp.Results {
			if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
				return err
			}
		}
		return nil
	})
}
