package watch

import (
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// Ports wraps those ports of a role that lead to others, so that its ticks say how these are. Without a recorder the ports
// are returned as they are.
func Ports(r rt.Runtime, p port.Ports) port.Ports {
	to := p.Telemetry
	if to == nil || to.Planted(planted.DependenciesUnwatched) {
		return p
	}
	meters := map[string]*meter{}
	for _, name := range telemetry.Dependencies(to.Identity().Role) {
		meters[name] = newMeter(r, to, name)
	}
	if m := meters[telemetry.Kafka]; m != nil && p.Log != nil {
		p.Log = &kafka{m, p.Log}
	}
	if m := meters[telemetry.Groups]; m != nil && p.Groups != nil {
		p.Groups = &groups{m, p.Groups}
	}
	if m := meters[telemetry.ZooKeeper]; m != nil && p.Coordination != nil {
		p.Coordination = &coordination{m, p.Coordination}
	}
	if m := meters[telemetry.MySQL]; m != nil {
		if p.Catalog != nil {
			p.Catalog = &catalog{m, p.Catalog}
		}
		if p.Definitions != nil {
			p.Definitions = &definitions{m, p.Definitions}
		}
		if p.Counts != nil {
			p.Counts = &counts{m, p.Counts}
		}
		if p.Evaluations != nil {
			p.Evaluations = &evaluations{m, p.Evaluations}
		}
	}
	if m := meters[telemetry.S3]; m != nil && p.Blobs != nil {
		p.Blobs = &blobs{m, p.Blobs}
	}
	if m := meters[telemetry.Peers]; m != nil && p.Peers != nil {
		p.Peers = &peers{m, p.Peers}
	}
	if m := meters[telemetry.Webhooks]; m != nil && p.Webhooks != nil {
		p.Webhooks = &webhooks{m, p.Webhooks}
	}
	return p
}
