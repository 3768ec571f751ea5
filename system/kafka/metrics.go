package kafka

import "github.com/rcrowley/go-metrics"

// noMetrics is a registry of metrics that count nothing. Sarama's own would start a ticker for the whole process with
// the first meter, and keep a histogram per topic and broker that nobody reads.
type noMetrics struct{}

// GetOrRegister implements metrics.Registry.
func (noMetrics) GetOrRegister(_ string, m any) any {
	switch m.(type) {
	case func() metrics.Meter:
		return metrics.NilMeter{}
	case func() metrics.Histogram:
		return metrics.NilHistogram{}
	case func() metrics.Counter:
		return metrics.NilCounter{}
	}
	return m
}

// Each implements metrics.Registry.
func (noMetrics) Each(func(string, any)) {}

// Get implements metrics.Registry.
func (noMetrics) Get(string) any { return nil }

// GetAll implements metrics.Registry.
func (noMetrics) GetAll() map[string]map[string]any { return nil }

// Register implements metrics.Registry.
func (noMetrics) Register(string, any) error { return nil }

// RunHealthchecks implements metrics.Registry.
func (noMetrics) RunHealthchecks() {}

// Unregister implements metrics.Registry.
func (noMetrics) Unregister(string) {}

// UnregisterAll implements metrics.Registry.
func (noMetrics) UnregisterAll() {}
