package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
)

func (q *query) recipient(body []byte) (d draft, err error) {
	r, err := definition.ParseTeamRecipient(body, q.options())
	if err != nil {
		return d, err
	}
	return draft{name: r.Details.Name, body: definition.Encode(r)}, nil
}

// resolve fills in type and target of recipients that are named by their ID, so that who delivers need not look them up.
func (q *query) resolve(list []definition.Recipient) error {
	for i := range list {
		if list[i].ID == "" {
			continue
		}
		field := fmt.Sprintf("recipients[%d].id", i)
		d, err := q.one(port.KindRecipient, "recipient", definition.ID(list[i].ID))
		var f *failure
		switch {
		case errors.As(err, &f) && f.status == http.StatusNotFound:
			return invalid(definition.CodeInvalid, field, "the team has no recipient %s: see GET /1/recipients", list[i].ID)
		case err != nil:
			return err
		}
		var r definition.TeamRecipient
		if err := json.Unmarshal(d.Body, &r); err != nil {
			return invalid(definition.CodeInvalid, field, "recipient %s is damaged in the metadata store: %v; delete it", list[i].ID, err)
		}
		list[i] = definition.Recipient{ID: strconv.FormatInt(d.ID, 10), Type: r.Type, Target: r.Details.URL}
	}
	return nil
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

// recipientChanged tells the alerts that name a recipient where it is now. Each is one change: if the metadata store fails
// in between, the same PUT again does the rest.
func (q *query) recipientChanged(d port.Definition) error {
	alerts, err := q.alertsTo(d.ID)
	if err != nil {
		return err
	}
	var now definition.TeamRecipient
	if err := json.Unmarshal(d.Body, &now); err != nil {
		return fmt.Errorf("recipient %d: %w", d.ID, err)
	}
	move := func(list []definition.Recipient) {
		for i := range list {
			if list[i].ID == strconv.FormatInt(d.ID, 10) {
				list[i].Type, list[i].Target = now.Type, now.Details.URL
			}
		}
	}
	for _, a := range alerts {
		if a.Kind == port.KindTrigger {
			var t definition.Trigger
			if err := json.Unmarshal(a.Body, &t); err != nil {
				return fmt.Errorf("trigger %d: %w", a.ID, err)
			}
			move(t.Recipients)
			a.Body = definition.Encode(t)
		} else {
			var b definition.BurnAlert
			if err := json.Unmarshal(a.Body, &b); err != nil {
				return fmt.Errorf("burn alert %d: %w", a.ID, err)
			}
			move(b.Recipients)
			a.Body = definition.Encode(b) // its name stays: it is none that anybody sees
		}
		err := again(func() error {
			_, err := q.definitions.Redefine(q.ctx, a)
			return err
		})
		if err != nil && !errors.Is(err, port.ErrNotFound) { // else it was deleted meanwhile
			return lookedUp(err, "%s %d, which names recipient %q", a.Kind, a.ID, d.Name)
		}
	}
	return nil
}
