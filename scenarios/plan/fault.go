package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/nearest"
	"github.com/ratel-sim/ratel/system/port"
)

// maxAimWithin bounds how long after its event an aimed fault strikes: later, it is no longer aimed.
const maxAimWithin = time.Minute

// Bounds on starving. A share outside of them is a pause or nothing; freezing a container takes tens of milliseconds, so
// shorter stalls would not be what they say.
const (
	minStarveShare = 0.01
	maxStarveShare = 0.9
	minStall       = 200 * time.Millisecond
)

// FaultKinds lists all kinds of faults.
func FaultKinds() []system.FaultKind {
	return []system.FaultKind{system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultPause, system.FaultIsolate, system.FaultErrors, system.FaultSlow, system.FaultStarve, system.FaultRecreate, system.FaultPoison}
}

// Roles lists all roles.
func Roles() []system.Role {
	return []system.Role{system.RoleZooKeeper, system.RoleKafka, system.RoleMySQL, system.RoleS3, system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, system.RoleObserver}
}

// AimEvents lists the events at which a fault can be aimed.
func AimEvents() []string {
	return []string{
		port.EventISRChanged, port.EventLeaderElected, port.EventLogTruncated, port.EventSessionExpired, port.EventControllerUp,
		port.EventEnsembleLeader, port.EventNodeStarted, port.EventNodeStopped, port.EventClaimed, port.EventClaimLost,
		port.EventPartitionSick, port.EventPartitionWell, port.EventShed, port.EventRecovered, port.EventDiskFull,
		port.EventDiskCorrupt, port.EventOffsetReset,
		port.EventSegmentSealed, port.EventSegmentDamaged, port.EventSegmentRepaired, port.EventSegmentAged, port.EventManifestWritten,
		port.EventSealsDisagree, port.EventManifestLost, port.EventSnapshotFailed, port.EventBootstrapped, port.EventCacheMended, port.EventCatalogAway,
		port.EventCatalogBack, port.EventTenantShed, port.EventQueryPartial, port.EventQueryHedged,
		port.EventGroupJoined, port.EventGroupRebalance, port.EventGroupEvicted, port.EventProgress, port.EventProgressLost, port.EventDatasetUnknown,
		port.EventRecordSkipped, port.EventLeaderUp, port.EventLeaderDown, port.EventAlertFired, port.EventAlertStale, port.EventAlertDelivered,
	}
}

// Problems says what is wrong with a fault, by itself; [Phase.Problems] adds whether it fits in its phase.
func (ft Fault) Problems() Problems {
	f := &found{pos: ft.Pos, step: string(ft.Kind)}
	if !slices.Contains(FaultKinds(), ft.Kind) {
		f.add("kind", oneOf(string(ft.Kind), texts(FaultKinds())), "there is no fault %q", ft.Kind)
	}
	if ft.At < 0 {
		f.add("at", "", "at must not be negative, not %s", ft.At)
	}
	if ft.For < 0 {
		f.add("for_", "", "for_ must be positive, not %s", ft.For)
	}
	if ft.For > 0 && ft.Permanent {
		f.add("permanent", "leave one out", "a fault cannot be both permanent and healed after %s", ft.For)
	}
	ft.isolation(f)
	ft.degree(f)
	ft.poison(f)
	ft.aim(f)
	return f.list
}

func (ft Fault) isolation(f *found) {
	if ft.Kind != system.FaultIsolate {
		if len(ft.From) > 0 || ft.Direction != "" {
			f.add("from_", "", "only isolate has from_ and direction")
		}
		return
	}
	if len(ft.From) == 0 {
		f.add("from_", `write from_ = [others("kafka"), all_of("zk")]`, "it does not say from which nodes")
	}
	if len(ft.From) > MaxFaults {
		f.add("from_", "", "%d selectors are more than %d", len(ft.From), MaxFaults)
	}
	directions := []system.Direction{system.Both, system.Inbound, system.Outbound}
	if !slices.Contains(directions, ft.Direction) {
		f.add("direction", oneOf(string(ft.Direction), texts(directions)), "there is no direction %q", ft.Direction)
	}
}

// degree checks what only errors, slow and recreate have.
func (ft Fault) degree(f *found) {
	switch {
	case ft.Kind == system.FaultErrors:
		f.share("rate", ft.Rate)
	case ft.Kind == system.FaultStarve:
		if !(ft.Rate >= minStarveShare && ft.Rate <= maxStarveShare) {
			f.add("share", `write such as "10%"`, "share must be from %g%% to %g%%, not %g%%", 100*minStarveShare, 100*maxStarveShare, 100*ft.Rate)
		}
	case ft.Rate != 0:
		f.add("rate", "", "only errors has a rate")
	}
	switch {
	case ft.Kind == system.FaultSlow:
		f.span("delay", time.Duration(ft.Delay), time.Millisecond, time.Minute)
	case ft.Kind == system.FaultStarve:
		f.span("stall", time.Duration(ft.Delay), minStall, time.Minute)
	case ft.Delay != 0:
		f.add("delay", "", "only slow has a delay")
	}
	if ft.Kind == system.FaultRecreate {
		if ft.Dataset == "" {
			f.add("dataset", `write such as dataset = "load-0-0"`, "it does not say which dataset")
		}
		if ft.Team == "" {
			f.add("team", `write such as team = "load"`, "it does not say whose dataset")
		}
	} else if ft.Dataset != "" || ft.Team != "" {
		f.add("dataset", "", "only recreate has a dataset and a team")
	}
}

// maxPoison bounds the records of one poison.
const maxPoison = 1000

// poison checks what only poison has.
func (ft Fault) poison(f *found) {
	if ft.Kind != system.FaultPoison {
		if ft.Record != "" || ft.Records != 0 {
			f.add("record", "", "only poison has a record and records")
		}
		return
	}
	if ft.Target.Kind != SelectLeader {
		f.add("target", `write such as leader_of("events", 0)`, "poison goes to a partition, and the target names none")
	}
	if !slices.Contains(system.Poisons(), ft.Record) {
		f.add("record", oneOf(string(ft.Record), texts(system.Poisons())), "there is no poison %q", ft.Record)
	}
	if ft.Records < 1 || ft.Records > maxPoison {
		f.add("records", "", "records must be from 1 to %d, not %d", maxPoison, ft.Records)
	}
}

func (ft Fault) aim(f *found) {
	if ft.Target.Kind == SelectSubject && ft.Aim == nil {
		f.add("target", `write on = "leader.elected" or another event`, "subject() is the node of an event, and the fault waits for none")
	}
	for _, s := range ft.From {
		if s.Kind == SelectSubject && ft.Aim == nil {
			f.add("from_", `write on = "leader.elected" or another event`, "subject() is the node of an event, and the fault waits for none")
		}
	}
	if ft.Aim == nil {
		return
	}
	if !slices.Contains(AimEvents(), ft.Aim.On) {
		f.add("on", oneOf(ft.Aim.On, AimEvents()), "there is no event %q", ft.Aim.On)
	}
	if w := time.Duration(ft.Aim.Within); w < 0 || w > maxAimWithin {
		f.add("within", "", "within must be from 0s to %s, not %s", Duration(maxAimWithin), Duration(w))
	}
	if ft.Aim.Skip < 0 || ft.Aim.Skip > 10_000 {
		f.add("skip", "", "skip must be from 0 to 10000, not %d", ft.Aim.Skip)
	}
}

// fits says what of a fault does not fit in its phase.
func (ft Fault) fits(ph Phase, index int) Problems {
	f := &found{pos: ft.Pos, step: fmt.Sprintf("phase %q, fault %d (%s)", ph.Name, index, ft.Kind)}
	switch {
	case ph.Length <= 0: // told already
	case ft.At >= ph.Length:
		f.add("at", "", "it begins at %s, and the phase lasts %s", ft.At, ph.Length)
	case ft.For > ph.Length-ft.At:
		f.add("for_", "make the phase longer, or leave for_ out: a fault heals when its phase ends", "it begins at %s and lasts %s, and the phase lasts %s", ft.At, ft.For, ph.Length)
	case ft.Aim != nil && ft.Aim.Within >= ph.Length-ft.At:
		f.add("within", "", "it waits from %s and strikes up to %s after its event, and the phase lasts %s", ft.At, ft.Aim.Within, ph.Length)
	}
	return f.list
}

// targets says which selectors of a fault name what is not there.
func (ft Fault) targets(t system.Topology, step string) Problems {
	list := ft.Target.problems(t, step, "target")
	if ft.Target.Kind == SelectPeers {
		list = append(list, Problem{Pos: place(ft.Target.Pos, ft.Pos), Field: "target", What: step + ": others() is only for from_ of isolate: it means all but the target"})
	}
	for _, s := range ft.From {
		list = append(list, s.problems(t, step, "from_")...)
	}
	role := ft.Target.role(t)
	single := role == system.RoleMySQL || role == system.RoleS3
	degradable := single || role == system.RoleObserver && ft.Kind != system.FaultRecreate
	switch ft.Kind {
	case system.FaultErrors, system.FaultSlow, system.FaultRecreate:
		if !degradable {
			list = append(list, Problem{Pos: ft.Pos, Field: "target", What: fmt.Sprintf("%s: %s is for mysql, s3 and the observer", step, ft.Kind), Hint: `write node("s3") or node("mysql")`})
		}
	case system.FaultReplace:
		if single {
			list = append(list, Problem{Pos: ft.Pos, Field: "target", What: fmt.Sprintf("%s: replacing %s would destroy the only copy of what it holds", step, role), Hint: "write kill, stop or pause"})
		}
	case system.FaultKill, system.FaultStop, system.FaultPause, system.FaultStarve, system.FaultIsolate, system.FaultPoison:
	}
	if ft.Kind == system.FaultIsolate && len(list) == 0 && ft.lonely(t) {
		list = append(list, Problem{Pos: ft.Pos, Field: "from_", What: step + ": there is no other node to isolate the target from"})
	}
	return at(ft.Pos, list)
}

// lonely says whether an isolation certainly isolates from nobody: only others() of the target's own role, of which there is one.
func (ft Fault) lonely(t system.Topology) bool {
	role := ft.Target.role(t)
	for _, s := range ft.From {
		if s.Kind != SelectPeers || s.Role != role || count(t, role) > 1 {
			return false
		}
	}
	return role != ""
}

// place is the first of two positions that is known.
func place(a, b Pos) Pos {
	if a == (Pos{}) {
		return b
	}
	return a
}

func (s Selector) problems(t system.Topology, step, field string) Problems {
	f := &found{pos: s.Pos, step: step}
	switch s.Kind {
	case SelectNode:
		if _, ok := t.Node(s.Node); !ok {
			f.add(field, nearNode(t, s.Node), "there is no node %q", s.Node)
		}
	case SelectAny, SelectAll, SelectPeers:
		n := count(t, s.Role)
		switch {
		case !slices.Contains(Roles(), s.Role):
			f.add(field, oneOf(string(s.Role), texts(Roles())), "there is no role %q", s.Role)
		case n == 0 && s.Kind != SelectPeers:
			f.add(field, nodesOf(s.Role), "there is no node of role %q", s.Role)
		case s.Kind == SelectAny && (s.N < 1 || s.N > n):
			f.add(field, fmt.Sprintf("write a number from 1 to %d", n), "any_of wants %d nodes of role %q, and there are %d", s.N, s.Role, n)
		}
	case SelectLeader:
		if s.Topic != system.EventsTopic {
			f.add(field, oneOf(s.Topic, []string{system.EventsTopic}), "there is no topic %q", s.Topic)
		}
		if s.Partition < 0 || s.Partition >= t.Kafka.Partitions {
			f.add(field, fmt.Sprintf("write a number from 0 to %d", t.Kafka.Partitions-1), "there is no partition %d: there are %d", s.Partition, t.Kafka.Partitions)
		}
	case SelectPair, SelectOneOf:
		if s.Partition < 0 || s.Partition >= t.Kafka.Partitions {
			f.add(field, fmt.Sprintf("write a number from 0 to %d", t.Kafka.Partitions-1), "there is no partition %d: there are %d", s.Partition, t.Kafka.Partitions)
		}
	case SelectZone:
		if !slices.Contains(t.ZoneNames(), s.Zone) {
			f.add(field, oneOf(s.Zone, t.ZoneNames()), "there is no zone %q", s.Zone)
		}
	case SelectZK, SelectSubject, SelectAnyZone:
	default:
		f.add(field, "", "there is no selector %q", s.Kind)
	}
	return f.list
}

// nodesOf says how a system gets nodes of a role that it has none of by default.
func nodesOf(role system.Role) string {
	switch role {
	case system.RoleBeagle:
		return "write s.system(beagles = 2)"
	case system.RoleTrigger:
		return "write s.system(triggers = 2)"
	case system.RoleObserver:
		return "write s.system(telemetry = telemetry())"
	}
	return ""
}

func count(t system.Topology, role system.Role) int {
	n := 0
	for _, node := range t.Nodes() {
		if node.Role == role {
			n++
		}
	}
	return n
}

// nearNode is a hint for a node that is not there: the nearest name, or which there are.
func nearNode(t system.Topology, name string) string {
	var names []string
	for _, n := range t.Nodes() {
		names = append(names, n.Name)
	}
	trimmed := strings.TrimRight(name, "0123456789")
	for _, role := range Roles() {
		if trimmed == string(role) && count(t, role) > 0 { // a right role with a wrong number: the nearest name would be any
			return fmt.Sprintf("there are %s to %s", system.NodeName(role, 1), system.NodeName(role, count(t, role)))
		}
	}
	if near, ok := nearest.Name(name, names); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	parts := make([]string, 0, len(Roles()))
	for _, role := range Roles() {
		if n := count(t, role); n > 0 {
			if first, last := system.NodeName(role, 1), system.NodeName(role, n); first != last {
				parts = append(parts, fmt.Sprintf("%s to %s", first, last))
			} else {
				parts = append(parts, first)
			}
		}
	}
	return "there are " + strings.Join(parts, ", ")
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
