package history

import (
	"context"

	"github.com/flushline/flushline/queue/nats"
)

// Lag is how many messages the live consumers of cfg have not acknowledged yet. It
// reads only.
func Lag(ctx context.Context, conn *nats.Conn, cfg *nats.Config) (int64, error) {
	var lag int64
	for _, one := range cfg.List() {
		info, err := askConsumer(ctx, conn, one)
		if err != nil {
			return 0, err
		}
		lag += int64(info.NumPending) + int64(info.NumAckPending)
	}
	return lag, nil
}
