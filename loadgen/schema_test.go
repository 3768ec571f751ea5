package loadgen

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSchemaIsWhatIsSent: a column of any event is in the schema, and every name in the schema is a column of some event.
func TestSchemaIsWhatIsSent(t *testing.T) {
	t.Parallel()
	for _, spec := range kinds(t) {
		has := spec.Schema()
		var sent []string
		own := 0
		m := spec.maker()
		for producer := range uint32(4) {
			for _, e := range m.fill(&batch{}, producer, 0, 2_000, time.Unix(1_700_000_000, 0)) {
				for _, f := range e.Fields {
					if !has.Has(f.Name) {
						t.Fatalf("%s: column %q is not in %+v", spec.Events, f.Name, has)
					}
					if has.Prefix != "" && strings.HasPrefix(f.Name, has.Prefix) {
						own++
						continue
					}
					sent = append(sent, f.Name)
				}
			}
			slices.Sort(sent)
			sent = slices.Compact(sent)
		}
		if !slices.Equal(sent, has.Names) || (own > 0) != (has.Prefix != "") {
			t.Errorf("%s: sent %q and %d of their own, the schema says %+v", spec.Events, sent, own, has)
		}
		if has.Has("duration_mz") || has.Has("") {
			t.Errorf("%s: has anything: %+v", spec.Events, has)
		}
	}
}
