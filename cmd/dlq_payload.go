package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// letterDecoder reads the payloads of letters as a worker with one configuration does.
type letterDecoder struct {
	payload worker.Payload
	limits  protocol.Limits
}

func newLetterDecoder(cfg *configs.Config) *letterDecoder {
	return &letterDecoder{cfg.Worker().Payload, protocol.Limits{Decompressed: int64(cfg.Limits.Decompressed)}}
}

// letterGroup is one LogGroup of a letter.
type letterGroup struct {
	protocol.Group
	index uint32 // in the original message
}

// groups are the LogGroups of a letter. The error says why there are none.
func (d *letterDecoder) groups(l *queue.Letter, f *queue.Facts) ([]letterGroup, error) {
	if why, damaged := l.Header(queue.HeaderDamage); damaged {
		return nil, fmt.Errorf("it came as no whole message: %s", why)
	}
	p, err := d.payload.Of(&l.Message)
	if err != nil {
		return nil, err
	}
	_, found, err := p.Scan(&d.limits, nil)
	if err != nil {
		return nil, err
	}
	indexes, err := groupIndexes(f.Groups, len(found))
	if err != nil {
		return nil, err
	}
	all := make([]letterGroup, len(found))
	for i := range found {
		all[i] = letterGroup{found[i], indexes[i]}
	}
	return all, nil
}

// groupIndexes reads HeaderGroups of a letter with n groups.
func groupIndexes(text string, n int) ([]uint32, error) {
	indexes := make([]uint32, n)
	if text == "" {
		for i := range indexes {
			indexes[i] = uint32(i)
		}
		return indexes, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) != n {
		return nil, fmt.Errorf("%s is %q and the payload has %d LogGroups", queue.HeaderGroups, text, n)
	}
	for i, part := range parts {
		v, err := strconv.ParseUint(strings.TrimSpace(part), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s is %q: %w", queue.HeaderGroups, text, err)
		}
		indexes[i] = uint32(v)
	}
	return indexes, nil
}
