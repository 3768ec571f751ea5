package loadgen

import (
	"slices"
	"strings"
)

// Schema is which columns a traffic's events have.
type Schema struct {
	Names []string // sorted; not every event has to have each
	// Prefix begins the names of columns that only one event has; empty if there are none of those.
	Prefix string
}

// Has says whether an event may have a column.
func (s Schema) Has(name string) bool {
	_, ok := slices.BinarySearch(s.Names, name)
	return ok || s.Prefix != "" && strings.HasPrefix(name, s.Prefix)
}

// Schema says which columns the spec's events have.
func (s *Spec) Schema() Schema { return s.maker().schema() }

// schemaOf is the identity and these columns.
func schemaOf(names ...string) Schema {
	names = append(names, FieldProducer, FieldSeq, FieldSum)
	slices.Sort(names)
	return Schema{Names: slices.Compact(names)}
}

// schema implements maker.
func (g *small) schema() Schema {
	return schemaOf(g.service.name, g.route.name, g.duration.name, g.status.name, g.filler.name)
}

// schema implements maker.
func (g sprawl) schema() Schema {
	s := g.small.schema()
	s.Prefix = sprawlPrefix
	return s
}

// schema implements maker.
func (r *Replay) schema() Schema {
	var names []string
	for i := range r.lines {
		for _, f := range r.lines[i].fields {
			names = append(names, f.Name)
		}
	}
	return schemaOf(names...)
}

// schema implements maker.
func (g *wideMaker) schema() Schema {
	var names []string
	for _, c := range []choice{
		g.services[0], g.routes[0][0], g.methods[0][0], g.hosts[0][0], g.statuses[0], g.zones[0], g.versions[0], g.customers[0], g.plans[0],
		g.clients[0], g.countries[0], g.agents[0], g.cacheHits[0], g.flags[0], g.databases[0], g.failed, g.messages[0],
	} {
		names = append(names, c.field.Name)
	}
	own := []named{
		g.duration, g.cpu, g.memory, g.user, g.request, g.requestBytes, g.responseBytes, g.dbRows, g.dbDuration, g.queueWait, g.retries,
		g.order, g.payload,
	}
	if g.traces {
		own = append(own, g.traceID, g.spanID, g.parentID)
	}
	for _, n := range own {
		names = append(names, n.name)
	}
	return schemaOf(names...)
}
