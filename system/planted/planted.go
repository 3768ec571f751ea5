// Package planted is the registry of bugs that can be planted into the pipeline or into the simulated servers, to prove
// that a check catches them. A Set cannot be filled from a configuration file, a scenario script or a request: only the
// bugs command and the hidden flag by which it starts a role make one.
package planted

import (
	"fmt"
	"slices"
	"strings"
)

// Bug is one named defect.
type Bug struct {
	ID        string // as in the bug bank, such as K1
	Name      string
	Mechanism string // what it does and why that loses, duplicates or misreports
	Source    string // where the defect is known from
	SimOnly   bool   // it lives in a model of a server, so real servers cannot have it
}

// The bugs that can be planted.
const (
	AcksLeader              = "K1"
	TruncateToHighWatermark = "K5"
	AcceptBeforeKafka       = "P7"
	PartialAsSuccess        = "P11"
)

// All lists every bug in a stable order.
func All() []Bug {
	return []Bug{
		{ID: AcksLeader, Name: "acks=1", Mechanism: "the producer takes the leader's answer alone; what the followers had not fetched when the leader is lost is gone", Source: "Kafka producer configuration, acks"},
		{ID: TruncateToHighWatermark, Name: "truncation to the high watermark", Mechanism: "a new follower truncates to its own high watermark, which lags, instead of by leader epoch; elected next, it has lost acknowledged records", Source: "KIP-101", SimOnly: true},
		{ID: AcceptBeforeKafka, Name: "accepted before Kafka has acknowledged", Mechanism: "the shepherd answers 202 once an event is queued; a crash or a failed produce loses it", Source: "design class"},
		{ID: PartialAsSuccess, Name: "partial batch reported as success", Mechanism: "one part of a batch fails and the answer says that all were accepted", Source: "design class"},
	}
}

// Set is a set of planted bugs. The zero Set is empty: the system as it should be.
type Set struct{ ids []string }

// Parse makes a set of bug IDs, refusing unknown ones.
func Parse(ids ...string) (Set, error) {
	var s Set
	for _, id := range ids {
		if !slices.ContainsFunc(All(), func(b Bug) bool { return b.ID == id }) {
			known := make([]string, 0, len(All()))
			for _, b := range All() {
				known = append(known, b.ID)
			}
			return Set{}, fmt.Errorf("no planted bug %q: there are %s", id, strings.Join(known, ", "))
		}
		if !s.Has(id) {
			s.ids = append(s.ids, id)
		}
	}
	slices.Sort(s.ids)
	return s, nil
}

// Has says whether the bug is planted.
func (s Set) Has(id string) bool { return slices.Contains(s.ids, id) }

// IDs lists the planted bugs, sorted.
func (s Set) IDs() []string { return slices.Clone(s.ids) }
