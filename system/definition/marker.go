package definition

import (
	"time"

	"github.com/ratel-sim/ratel/system/document"
)

// Marker marks a moment or a time in a dataset's graphs, such as a deployment.
type Marker struct {
	StartTime int64  `json:"start_time"`         // Unix seconds
	EndTime   int64  `json:"end_time,omitempty"` // Unix seconds; 0: a moment
	Message   string `json:"message,omitempty"`
	Type      string `json:"type,omitempty"`
	URL       string `json:"url,omitempty"`
}

// maxUnix is the last second whose nanoseconds fit into 64 bits.
const maxUnix = 9_223_372_036

// ParseMarker reads and checks a marker. An error is a *[document.Error].
func ParseMarker(body []byte, opts Options) (Marker, error) {
	var p document.Problems
	o := read(&p, body, "start_time", "end_time", "message", "type", "url", "color")
	m := Marker{
		StartTime: whole(o.At("start_time"), max(opts.Now.Unix(), 0), 0, maxUnix), EndTime: whole(o.At("end_time"), 0, 0, maxUnix),
		Message: text(o.At("message"), MaxDescription), Type: text(o.At("type"), maxNameBytes),
	}
	if o.At("url").There() && string(o.At("url").Raw) != `""` {
		m.URL = webhook(o.At("url"))
	}
	text(o.At("color"), 32) // of replies; a marker's color is its type's
	if m.EndTime != 0 && m.EndTime < m.StartTime {
		o.At("end_time").Wrong(document.CodeInvalid, "the end %s is before the start %s", moment(m.EndTime), moment(m.StartTime))
	}
	return checked(m, &p)
}

func moment(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// TeamRecipient is a recipient that triggers and burn alerts of the team can name by its ID. Its body can be read as a
// [Recipient], too.
type TeamRecipient struct {
	Type    string           `json:"type"`   // "webhook"
	Target  string           `json:"target"` // its URL once more, as a Recipient has it
	Details RecipientDetails `json:"details"`
}

// RecipientDetails is where a webhook is.
type RecipientDetails struct {
	Name string `json:"webhook_name"`
	URL  string `json:"webhook_url"`
}

// ParseTeamRecipient reads and checks a recipient of a team. An error is a *[document.Error].
func ParseTeamRecipient(body []byte, _ Options) (TeamRecipient, error) {
	var p document.Problems
	o := read(&p, body, "type", "target", "details")
	var r TeamRecipient
	o.At("type").Need("a type is needed: webhook")
	if o.At("type").There() {
		r.Type = kind(o.At("type"))
	}
	d, ok := o.At("details").Object("webhook_name", "webhook_url", "webhook_secret", "webhook_headers", "webhook_payloads")
	switch {
	case ok:
		r.Details.Name = name(d.At("webhook_name"), MaxAlias)
		if d.At("webhook_url").Need("a webhook needs its URL"); d.At("webhook_url").There() {
			r.Details.URL = webhook(d.At("webhook_url"))
		}
		for _, more := range []string{"webhook_secret", "webhook_headers", "webhook_payloads"} {
			unsupported(d.At(more), "leave it out")
		}
	case !o.At("details").There():
		o.At("details").Wrong(document.CodeMissing, "details are needed: webhook_name and webhook_url")
	}
	r.Target = r.Details.URL // whatever target says: it is of replies
	return checked(r, &p)
}
