package worker

import (
	"context"
	"fmt"
	"io"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
)

// The methods of flushers.Context.

func (inst *instance) GetConfigName() string              { return inst.lane.key.Config }
func (inst *instance) GetProject() string                 { return inst.lane.key.Project }
func (inst *instance) GetLogstore() string                { return inst.lane.key.Logstore }
func (inst *instance) GetEntry() string                   { return inst.entry.name() }
func (inst *instance) GetRuntimeContext() context.Context { return inst.ctx }
func (inst *instance) Logger() *zap.Logger                { return inst.lane.log() }
func (inst *instance) Metrics() flushers.Metrics {
	return entryKindMetrics{inst.entry, inst.version.Kind.Name}
}

// Shared remembers the release, so that an instance that failed Init or forgot it
// holds nothing back.
func (inst *instance) Shared(key string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	v, release, err := inst.lane.w.shared.Get(inst.version.Kind.Name+"\x00"+key, open)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't open what instances of %s share: %w", inst.version.Kind.Name, err)
	}
	inst.mu.Lock()
	over := inst.done
	if !over {
		inst.releases = append(inst.releases, release)
	}
	inst.mu.Unlock()
	if over {
		release()
		return nil, nil, fmt.Errorf("couldn't share a value of %s: %w", inst.version.Kind.Name, errInstanceOver)
	}
	return v, release, nil
}

func (l *lane) log() *zap.Logger {
	return l.w.cfg.Logger.With(zap.String("route", l.entry.route), zap.String("flusher", l.entry.flusher),
		zap.String("project", l.key.Project), zap.String("logstore", l.key.Logstore), zap.String("config", l.key.Config))
}
