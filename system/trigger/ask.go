package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// askTimeout is how long a query node may take: a little longer than its own deadline, so that it says what is missing.
const askTimeout = 12 * time.Second

// findTrigger runs a trigger's query over the time range that ends with the window.
func (t *term) findTrigger(ctx context.Context, r *rule, window int64) (finding, error) {
	req, err := request(r, window)
	if err != nil {
		return finding{}, fmt.Errorf("%w: %w", errHopeless, err)
	}
	answer, err := t.w.ask(ctx, req)
	switch {
	case err != nil:
		return finding{}, fmt.Errorf("%w: %w", errNotFresh, err)
	case answer.Code >= 500 || answer.Code == http.StatusTooManyRequests:
		return finding{}, fmt.Errorf("%w: the query node answers %d: %s", errNotFresh, answer.Code, answer.Error)
	case answer.Code != http.StatusOK:
		return finding{}, fmt.Errorf("%w: the query node answers %d: %s", errHopeless, answer.Code, answer.Error)
	case answer.Result != nil && answer.Result.Truncated:
		return finding{}, fmt.Errorf("%w: it has more groups than there can be in an answer", errHopeless)
	case !answer.Complete:
		return finding{}, fmt.Errorf("%w: the answer is not complete: %s", errNotFresh, firstMissing(&answer))
	case answer.FreshTo < window:
		return finding{}, fmt.Errorf("%w: they are of %v, the window ends at %v", errNotFresh, time.Unix(0, answer.FreshTo).UTC(), time.Unix(0, window).UTC())
	}
	return judge(r.threshold, answer.Result), nil
}

func firstMissing(a *query.Answer) string {
	if len(a.Missing) == 0 {
		return "it does not say what is missing"
	}
	return fmt.Sprintf("partition %d: %s", a.Missing[0].Partition, a.Missing[0].Why)
}

// request is a trigger's query, asked for one window: the groups that exceed the threshold most come first, unless the
// query has an order of its own.
func request(r *rule, window int64) (query.Request, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(r.trigger.Query, &members); err != nil {
		return query.Request{}, fmt.Errorf("the query cannot be read: %w", err)
	}
	members["end_time"] = json.RawMessage(fmt.Sprint(window / int64(time.Second)))
	q, err := spec.Parse(r.trigger.Query, time.Unix(0, window))
	if err != nil {
		return query.Request{}, fmt.Errorf("the query: %w", err)
	}
	limit := 0
	if len(q.Orders) == 0 && len(q.Calculations) > 0 {
		order := map[string]string{"op": string(q.Calculations[0].Op), "order": "descending"}
		if q.Calculations[0].Column != "" {
			order["column"] = q.Calculations[0].Column
		}
		if r.threshold.Op == "<" || r.threshold.Op == "<=" {
			order["order"] = "ascending"
		}
		if members["orders"], err = json.Marshal([]map[string]string{order}); err != nil {
			return query.Request{}, err
		}
	}
	if _, said := members["limit"]; !said {
		limit = spec.MaxTableLimit
	}
	text, err := json.Marshal(members)
	if err != nil {
		return query.Request{}, err
	}
	return query.Request{TeamID: r.def.Team, DatasetID: r.def.Dataset, Spec: text, DisableSeries: true, Limit: limit}, nil
}

// ask runs a query on a query node; after one that failed, others are asked first.
func (w *Worker) ask(ctx context.Context, req query.Request) (query.Answer, error) {
	body, err := query.EncodeRun(req)
	if err != nil {
		return query.Answer{}, err
	}
	w.mu.Lock()
	turn := w.turn
	w.mu.Unlock()
	node := w.queries[turn%len(w.queries)]
	limited, cancel := w.r.WithTimeout(ctx, askTimeout)
	defer cancel()
	reply, err := w.ports.Peers.Call(limited, node, query.ServiceRun, body)
	var answer query.Answer
	if err == nil {
		answer, err = query.DecodeAnswer(reply)
	}
	if err != nil || answer.Code >= 500 {
		w.mu.Lock()
		if w.turn == turn { // the first that fails moves on
			w.turn++
		}
		w.mu.Unlock()
	}
	if err != nil {
		return answer, fmt.Errorf("ask %s: %w", node, err)
	}
	return answer, nil
}
