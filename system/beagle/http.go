package beagle

import (
	"net/http"

	"github.com/ratel-sim/ratel/system/status"
)

// Handler serves GET /status (JSON, [Status]) and GET /healthz (200 while the worker is a member of the group, else 503).
func Handler(b *Beagle) http.Handler {
	return status.Handler(func() (any, bool, string) {
		st := b.Status()
		return st, st.Member != "", "not a member of the group. " + st.Trouble
	})
}
