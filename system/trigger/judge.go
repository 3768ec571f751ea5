package trigger

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// maxGroups is how many groups a notice names.
const maxGroups = 20

// maxText bounds each text of a group in a notice.
const maxText = 200

// exceeds says whether a value is on the far side of a threshold.
func exceeds(t definition.Threshold, value float64) bool {
	switch t.Op {
	case ">":
		return value > t.Value
	case ">=":
		return value >= t.Value
	case "<":
		return value < t.Value
	case "<=":
		return value <= t.Value
	}
	return false
}

// worse says whether a value is further on the far side than another.
func worse(t definition.Threshold, a, b float64) bool {
	if t.Op == "<" || t.Op == "<=" {
		return a < b
	}
	return a > b
}

// quiet is the value of a result that has none: 0, or if that exceeded the threshold, the nearest number that does not.
func quiet(t definition.Threshold) float64 {
	switch {
	case !exceeds(t, 0):
		return 0
	case !exceeds(t, t.Value):
		return t.Value
	case t.Op == ">=":
		return max(math.Nextafter(t.Value, math.Inf(-1)), -math.MaxFloat64)
	}
	return min(math.Nextafter(t.Value, math.Inf(1)), math.MaxFloat64)
}

// group is a group of a result that exceeds the threshold.
type group struct {
	Group map[string]any `json:"group,omitempty"` // by breakdown
	Value float64        `json:"value"`
}

// finding is what an evaluation has found.
type finding struct {
	value    float64
	exceeded bool
	groups   []group // the worst that exceed
}

// judge compares each group's value with the threshold. A group without a value does not exceed it.
func judge(t definition.Threshold, r *exec.Result) finding {
	f := finding{value: quiet(t)}
	found := false
	var over []int
	for i := range r.Rows {
		v, ok := number(&r.Rows[i])
		if !ok {
			continue
		}
		if !found || worse(t, v, f.value) {
			f.value, found = v, true
		}
		if exceeds(t, v) {
			over = append(over, i)
		}
	}
	f.exceeded = len(over) > 0
	slices.SortStableFunc(over, func(a, b int) int {
		va, _ := number(&r.Rows[a])
		vb, _ := number(&r.Rows[b])
		switch {
		case worse(t, va, vb):
			return -1
		case worse(t, vb, va):
			return 1
		}
		return 0
	})
	for _, i := range over[:min(len(over), maxGroups)] {
		row := &r.Rows[i]
		g := group{}
		g.Value, _ = number(row)
		for j := range row.Group {
			if g.Group == nil {
				g.Group = map[string]any{}
			}
			g.Group[short(r.Columns[j])] = plain(row.Group[j])
		}
		f.groups = append(f.groups, g)
	}
	return f
}

// number is a row's value, if it is a number.
func number(row *exec.Row) (float64, bool) {
	if len(row.Values) == 0 {
		return 0, false
	}
	switch v := row.Values[0].Value; v.Kind() {
	case event.Int, event.Float:
		f := v.Float()
		return f, !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

// plain is a value for JSON.
func plain(v event.Value) any {
	switch v.Kind() {
	case event.Bool:
		return v.Bool()
	case event.Int:
		return v.Int()
	case event.Float:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return v.String()
	case event.String:
		return short(v.Str())
	}
	return nil
}

func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	for n := maxText; n > 0; n-- {
		if text[n]&0xc0 != 0x80 { // not within a character
			return text[:n] + "…"
		}
	}
	return "…"
}

// past is what the evaluations before mean for the next one.
type past struct {
	triggered bool
	streak    int // how many windows in a row have exceeded the threshold; stale ones are passed over
}

// verdict is what an evaluation decides.
type verdict struct {
	past
	fires, resolves bool
}

// decide says what a window that exceeds the threshold, or does not, means after what was before.
func decide(kind definition.AlertType, limit int, before past, exceeded bool) verdict {
	var v verdict
	if exceeded {
		v.streak = before.streak + 1
	}
	v.triggered = v.streak >= max(limit, 1)
	if kind == definition.OnTrue {
		v.fires = v.triggered
		return v
	}
	v.fires = v.triggered && !before.triggered
	v.resolves = !v.triggered && before.triggered
	return v
}

// remember is the past that evaluations, ascending by window, amount to under a threshold.
func remember(t definition.Threshold, list []port.Evaluation) past {
	var p past
	if len(list) == 0 {
		return p
	}
	p.triggered = list[len(list)-1].Triggered
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Stale {
			continue
		}
		if !exceeds(t, list[i].Value) {
			break
		}
		p.streak++
	}
	return p
}

// notice is the body of a webhook.
type notice struct {
	Name      string         `json:"name"`
	ID        string         `json:"id"`
	Kind      string         `json:"kind"` // trigger or burn_alert
	Window    time.Time      `json:"window"`
	Status    string         `json:"status"` // TRIGGERED or OK
	Value     float64        `json:"value"`
	Threshold noticeLimit    `json:"threshold"`
	Groups    []group        `json:"groups,omitempty"` // the worst that exceed the threshold, at most 20
	SLO       string         `json:"slo,omitempty"`
	Details   map[string]any `json:"details,omitempty"`
	Key       string         `json:"key"` // as in Idempotency-Key
}

type noticeLimit struct {
	Op    string  `json:"op"`
	Value float64 `json:"value"`
}

// key tells the notices of one alert apart; all attempts to deliver one have the same.
func key(e *port.Evaluation) string {
	what := "fires"
	if e.Resolves {
		what = "resolves"
	}
	return fmt.Sprintf("%d/%d/%s", e.Alert, e.Window, what)
}

func newNotice(d *port.Definition, e *port.Evaluation, t definition.Threshold, groups []group) notice {
	n := notice{
		Name: d.Name, ID: strconv.FormatInt(d.ID, 10), Kind: string(d.Kind), Window: time.Unix(0, e.Window).UTC(), Status: "OK",
		Value: e.Value, Threshold: noticeLimit{t.Op, t.Value}, Groups: groups, Key: key(e),
	}
	if e.Fires {
		n.Status = "TRIGGERED"
	}
	return n
}

func (n *notice) encode() (json.RawMessage, error) { return json.Marshal(n) }
