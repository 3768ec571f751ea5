package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/port"
)

func (q *query) recipient(body []byte) (d draft, err error) {
	r, err := definition.ParseTeamRecipient(body, q.options())
	if err != nil {
		return d, err
	}
	return draft{name: r.Details.Name, body: definition.Encode(r)}, nil
}

// lookUp finds a recipient of the team; port.ErrNotFound is among the errors as a failure of status 404.
func (q *query) lookUp(id int64) (definition.Recipient, error) {
	if r, there := q.recipients[id]; there {
		return r, nil
	}
	d, err := q.one(port.KindRecipient, "recipient", id)
	if err != nil {
		return definition.Recipient{}, err
	}
	var r definition.Recipient
	if err := json.Unmarshal(d.Body, &r); err != nil {
		return r, &failure{status: http.StatusInternalServerError, text: fmt.Sprintf("recipient %d is damaged in the metadata store: %v; delete it", d.ID, err)}
	}
	if q.recipients == nil {
		q.recipients = map[int64]definition.Recipient{}
	}
	r.ID = strconv.FormatInt(d.ID, 10)
	q.recipients[id] = r
	return r, nil
}

func isMissing(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.status == http.StatusNotFound
}

// known refuses recipients that the team has not, and leaves of the others the ID alone: where they are is looked up when
// something is delivered, so that it can be changed in one place.
func (q *query) known(list []definition.Recipient) error {
	for i := range list {
		if list[i].ID == "" {
			continue
		}
		r, err := q.lookUp(definition.ID(list[i].ID))
		switch {
		case isMissing(err):
			return invalid(document.CodeInvalid, fmt.Sprintf("recipients[%d].id", i), "the team has no recipient %s: see GET /1/recipients", list[i].ID)
		case err != nil:
			return err
		}
		list[i] = definition.Recipient{ID: r.ID}
	}
	return nil
}

// shown are an alert's recipients with where they are now.
func (q *query) shown(d port.Definition) ([]definition.Recipient, error) {
	var alert struct{ Recipients []definition.Recipient }
	if err := json.Unmarshal(d.Body, &alert); err != nil {
		return nil, &failure{status: http.StatusInternalServerError, text: fmt.Sprintf("%s %d is damaged in the metadata store: %v; delete it", q.res.what, d.ID, err)}
	}
	list := append([]definition.Recipient{}, alert.Recipients...)
	for i := range list {
		if list[i].ID == "" {
			continue
		}
		switch r, err := q.lookUp(definition.ID(list[i].ID)); {
		case isMissing(err): // deleted while this alert was being written
		case err != nil:
			return nil, err
		default:
			list[i] = r
		}
	}
	return list, nil
}

// alertsTo are the team's triggers and burn alerts, of all datasets, that name a recipient.
func (q *query) alertsTo(id int64) ([]port.Definition, error) {
	list, err := q.teams(port.KindTrigger, port.KindBurnAlert)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(d port.Definition) bool {
		var alert struct{ Recipients []definition.Recipient }
		return json.Unmarshal(d.Body, &alert) != nil || !slices.ContainsFunc(alert.Recipients, func(r definition.Recipient) bool { return r.ID == strconv.FormatInt(id, 10) })
	}), nil
}

func (q *query) recipientUsed(d port.Definition) error {
	alerts, err := q.alertsTo(d.ID)
	if err != nil {
		return err
	}
	if len(alerts) > 0 {
		return conflict("%d alerts name recipient %q, such as %s %d: change them first", len(alerts), d.Name, alerts[0].Kind, alerts[0].ID)
	}
	return nil
}
