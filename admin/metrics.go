package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flushline/flushline/worker"
)

var (
	descInfo = prometheus.NewDesc("flushline_config_info",
		"Always 1; the label is a hash of the configuration in use, by which one sees which pods run which.", []string{"hash"}, nil)
	descReloads = prometheus.NewDesc("flushline_reloads_total",
		"Times that the configuration file was taken over again (ok), or refused (failed).", []string{"result"}, nil)
	descLoaded = prometheus.NewDesc("flushline_config_loaded_timestamp_seconds",
		"When the configuration in use was taken over.", nil, nil)
)

// configCollector exposes which configuration is in use.
type configCollector func() worker.ConfigStatus

// Describe implements prometheus.Collector.
func (c configCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descInfo
	ch <- descReloads
	ch <- descLoaded
}

// Collect implements prometheus.Collector.
func (c configCollector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	ch <- prometheus.MustNewConstMetric(descInfo, prometheus.GaugeValue, 1, s.Hash)
	ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(s.Reloads), "ok")
	ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(s.Failed), "failed")
	ch <- prometheus.MustNewConstMetric(descLoaded, prometheus.GaugeValue, float64(s.Loaded.UnixMilli())/1e3)
}

// Metrics serves the worker's collector (parts) beside those of the configuration,
// the Go runtime and the process, from a registry of its own. config is asked at
// each scrape.
func Metrics(parts prometheus.Collector, config func() worker.ConfigStatus) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		parts, configCollector(config),
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
