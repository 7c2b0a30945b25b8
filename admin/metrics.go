package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics serves the worker's collector beside those of the Go runtime and the
// process, from a registry of its own. configHash is the label of
// flushline_config_info, by which one sees which pods run which configuration.
func Metrics(worker prometheus.Collector, configHash string) (http.Handler, error) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "flushline_config_info",
		Help:        "Always 1; the label is a hash of the configuration in use.",
		ConstLabels: prometheus.Labels{"hash": configHash},
	})
	info.Set(1)
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		worker, info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("couldn't register metrics: %w", err)
		}
	}
	// Scrapers that pile up behind a slow process must not make it slower.
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		Registry:            reg,
	}), nil
}
