package shepherd

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// maxDatasetBytes bounds a dataset's name.
const maxDatasetBytes = 255

// headBytes is more than a chunk has before its first event.
const headBytes = maxDatasetBytes + 64

// Texts of statuses, for clients.
const (
	textShed     = "too much is in flight here: the event was not stored; send it again later"
	textTeamShed = "too much of this team is in flight here: the event was not stored; send it again later"
	textDraining = "this shepherd is shutting down: the event was not stored; send it again elsewhere"
	textPlanted  = "a planted bug refuses one batch in twenty: the event was not stored"
	textUnknown  = "Kafka has not acknowledged the event in time: it may have been stored or may still be; sending it again may duplicate it"
)

// consignment is one chunk of a batch on its way.
type consignment struct {
	owner        *tenant
	set          []int32 // the dataset's partitions
	first, count int     // in the request's events
	value        []byte
	tried        []bool // partitions that refused it, up to the last that did
	at           *shipment
	future       *rt.Future[int64]
	code         int // 0 while open
	err          string
	offset       int64
	trace        telemetry.Trace // set if telemetry is on
}

// Accept takes one batch and returns when the fate of each event is known or AckTimeout has passed, whichever comes
// first, or when ctx ends. It does not change or keep the request's events. Limits on a single event's fields and
// strings are the decoder's business; Accept refuses only events that no Kafka record can hold.
func (s *Shepherd) Accept(ctx context.Context, req Request) Answer {
	if problem := checkDataset(req.Dataset); problem != "" {
		return Answer{Code: 400, Error: problem}
	}
	if len(req.Events) == 0 {
		return Answer{Code: 400, Error: textEmpty}
	}
	t, code, text := s.identify(ctx, req.Team)
	switch {
	case t != nil:
		a := s.acceptFrom(ctx, t, req)
		s.leave(t)
		return a
	case code == Refused:
		a := Answer{Code: 200, Statuses: make([]Status, len(req.Events))}
		fill(a.Statuses, Refused, text)
		s.count(a.Statuses)
		return a
	}
	return Answer{Code: code, Error: text}
}

// acceptFrom is Accept for a team that is known and a request whose form was checked.
func (s *Shepherd) acceptFrom(ctx context.Context, t *tenant, req Request) Answer {
	told := s.beginStory()
	a := Answer{Code: 200, Statuses: make([]Status, len(req.Events))}
	if !s.begin() {
		fill(a.Statuses, Refused, textDraining)
		s.count(a.Statuses)
		s.tellBatch(&told, t, req.Dataset, a.Statuses)
		return a
	}
	if s.refusesAShare && s.drawn() {
		fill(a.Statuses, Refused, textPlanted)
		s.count(a.Statuses)
		s.end()
		return a
	}
	ds, err := s.directory.DatasetForWrite(ctx, t.id, req.Dataset)
	switch {
	case err == nil:
		known, in := s.letIn(t, &ds, int64(len(req.Events)), &a)
		shed := s.accept(ctx, t, &ds, req, a.Statuses[:in], &told)
		s.giveBack(t, known, shed)
	case errors.Is(err, port.ErrNotFound): // its team was deleted
		s.end()
		return Answer{Code: 401, Error: textUnknownKey}
	case errors.Is(err, catalog.ErrName):
		s.end()
		return Answer{Code: 400, Error: err.Error()}
	default:
		// Whether the dataset is there now or not: no event of it was stored.
		fill(a.Statuses, Refused, fmt.Sprintf(textNoCatalog, "dataset", err))
	}
	if s.partialAsSuccess {
		pretendAll(a.Statuses)
	}
	s.count(a.Statuses)
	s.end()
	s.tellBatch(&told, t, req.Dataset, a.Statuses)
	s.telemetry.Await(ctx)
	return a
}

// letIn takes tokens for n events from the buckets of the team and the dataset, as many as both have, and answers the
// events at the end of the batch for which there are none.
func (s *Shepherd) letIn(t *tenant, ds *port.Dataset, n int64, a *Answer) (known *dataset, in int64) {
	now := s.r.Now()
	limits := ds.Limits
	s.mu.Lock()
	if unlimited(limits) {
		limits = t.team.DatasetLimits
	}
	team := t.team.Limits
	known, _ = s.datasets.get(ds.ID)
	t.bucket.refill(team, now)
	known.bucket.refill(limits, now)
	ofTeam, ofDataset := t.bucket.whole(), known.bucket.whole()
	in = max(min(n, ofTeam, ofDataset), 0)
	t.bucket.take(in)
	known.bucket.take(in)
	a.Rate = t.bucket.rate()
	if r := known.bucket.rate(); r.Limit > 0 && (a.Rate.Limit == 0 || r.Remaining < a.Rate.Remaining) {
		a.Rate = r
	}
	t.told.Limited += n - in
	s.mu.Unlock()
	if in < n {
		text := textLimited("team", t.name, team)
		if ofDataset < ofTeam {
			text = textLimited("dataset", ds.Name, limits)
		}
		fill(a.Statuses[in:], Throttled, text)
	}
	return known, in
}

// giveBack returns the tokens of events that were shed.
func (s *Shepherd) giveBack(t *tenant, known *dataset, n int64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	t.bucket.giveBack(n)
	known.bucket.giveBack(n)
	s.mu.Unlock()
}

func (s *Shepherd) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.requests++
	s.begun++
	return true
}

func (s *Shepherd) end() {
	s.mu.Lock()
	s.requests--
	settled := s.draining && s.idleLocked()
	s.mu.Unlock()
	if settled {
		s.settle()
	}
}

// accept puts events into Kafka and returns how many it had no room for.
func (s *Shepherd) accept(ctx context.Context, t *tenant, ds *port.Dataset, req Request, statuses []Status, told *story) (shed int64) {
	var space [1]consignment // most batches are one chunk
	chunks, shed := s.load(t, ds, req.Events[:len(statuses)], statuses, space[:0])
	if len(chunks) == 0 {
		return shed
	}
	s.directory.LearnEvents(ds.ID, req.Events[:len(statuses)])
	if req.forget != nil {
		req.forget()
	}
	s.send(ctx, chunks, statuses)
	told.add(chunks)
	if req.Receipts {
		for i := range chunks {
			chunks[i].receipt(statuses)
		}
	}
	return shed
}

// send hands chunks to Kafka, waits for what becomes of them, and answers their events.
func (s *Shepherd) send(ctx context.Context, chunks []consignment, statuses []Status) {
	if s.early != nil {
		s.early.take(chunks, statuses)
		return
	}
	for i := range chunks {
		s.ship(&chunks[i])
	}
	ctx, cancel := s.r.WithTimeout(ctx, s.cfg.AckTimeout)
	s.await(ctx, chunks)
	cancel()
	for i := range chunks {
		c := &chunks[i]
		fill(statuses[c.first:c.first+c.count], c.code, c.err)
	}
	s.tellProduces(chunks)
}

// receipt says where the chunk's events are, if they were accepted.
func (c *consignment) receipt(statuses []Status) {
	if c.code != Accepted {
		return
	}
	for i := c.first; i < c.first+c.count; i++ {
		statuses[i].Partition, statuses[i].Offset = c.at.partition, c.offset
	}
}

// load cuts events into encoded chunks and takes room for each. What finds no room, or fits into no record, is answered
// at once.
func (s *Shepherd) load(t *tenant, ds *port.Dataset, events []event.Event, statuses []Status, chunks []consignment) (loaded []consignment, shed int64) {
	for first := 0; first < len(events); {
		count := s.chunkLen(events[first:])
		answers := statuses[first : first+count]
		c, v := s.loadOne(t, ds, events[first:first+count])
		switch {
		case v != room:
			fill(answers, Throttled, v.text())
			s.shed(t, count, v)
			shed += int64(count)
		case len(c.value) > maxRecordBytes:
			fill(answers, Malformed, fmt.Sprintf("Event is too large: %d bytes encoded, at most %d fit into one record.", len(c.value), maxRecordBytes))
		default:
			c.first = first
			chunks = append(chunks, c)
		}
		first += count
	}
	return chunks, shed
}

// loadOne makes a chunk of events and takes room for it, unless it is too large for a record.
func (s *Shepherd) loadOne(t *tenant, ds *port.Dataset, events []event.Event) (consignment, verdict) {
	number := load{events: int64(len(events))}
	s.mu.Lock()
	id := s.next
	v := s.reserveLocked(t, number)
	if v == room {
		s.next.Seq += uint64(len(events))
	}
	s.mu.Unlock()
	if v != room {
		return consignment{}, v
	}
	c := consignment{owner: t, set: ds.Partitions, count: len(events), value: s.encode(event.Dataset{ID: ds.ID, Name: ds.Name}, events, id)}
	if s.telemetry.On() {
		c.trace = telemetry.TraceOf(id)
	}
	if len(c.value) <= maxRecordBytes {
		if v = s.reserve(t, load{bytes: int64(len(c.value))}); v == room {
			return c, room
		}
	}
	s.release(t, number)
	return c, v
}

// chunkLen is how many of the events go into the next chunk: ChunkEvents, or fewer large ones.
func (s *Shepherd) chunkLen(events []event.Event) int {
	n := min(s.cfg.ChunkEvents, len(events))
	size := headBytes
	for i := range n {
		// A name's length takes up to three bytes and a number nine, of which Size counts nine: if more came out than was thought, all
		// of the chunk's events would be refused.
		if size += events[i].Size() + 3*len(events[i].Fields) + 64; size > maxRecordBytes && i > 0 {
			return i
		}
	}
	return n
}

// encode makes a chunk. Its size is known only once it is made, so it is made in memory that is used again and again.
func (s *Shepherd) encode(dataset event.Dataset, events []event.Event, first event.ID) []byte {
	scratch, _ := s.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	*scratch = event.AppendChunkFrom((*scratch)[:0], dataset, events, first)
	value := bytes.Clone(*scratch)
	s.scratch.Put(scratch)
	return value
}

// load is what a chunk counts while it is in flight.
func (c *consignment) load() load { return load{events: int64(c.count), bytes: int64(len(c.value))} }

// ship hands a chunk to Kafka on a partition that has not refused it. It returns false if there is none left.
func (s *Shepherd) ship(c *consignment) bool {
	sh := s.pick(c)
	if sh == nil {
		return false
	}
	c.at = sh
	// Numbers are in the order of the calls; Produce returns at once.
	s.sending.Lock()
	s.sent++
	c.future = s.producer.Produce(Topic, sh.partition, port.Record{Value: c.value, Time: sh.sent, Number: s.sent})
	s.sending.Unlock()
	c.future.OnDone(sh.done)
	return true
}

// await waits until every chunk is answered. A chunk that was certainly refused goes to another partition; one whose
// fate is unknown never does, because it may turn up twice.
func (s *Shepherd) await(ctx context.Context, chunks []consignment) {
	for open := len(chunks); open > 0; {
		c, err := s.nextDone(ctx, chunks, open)
		if err != nil {
			break
		}
		if _, err, _ := c.future.Peek(); errors.Is(err, port.ErrRefused) && !errors.Is(err, port.ErrTooLarge) && s.reship(ctx, c) {
			continue
		}
		c.resolve()
		open--
	}
	for i := range chunks {
		if chunks[i].code == 0 {
			chunks[i].resolve()
		}
	}
}

// resolve turns what is known of the chunk's produce into an answer.
func (c *consignment) resolve() {
	offset, err, done := c.future.Peek()
	switch {
	case !done:
		c.code, c.err = Unknown, textUnknown
	case err == nil:
		c.code, c.offset = Accepted, offset
	case errors.Is(err, port.ErrTooLarge):
		c.code, c.err = Malformed, "Event is too large: Kafka refuses the record: "+err.Error()
	case errors.Is(err, port.ErrRefused):
		c.code, c.err = Refused, "Kafka refused the event, it was not stored; send it again later: "+err.Error()
	default:
		c.code, c.err = Unknown, textUnknown+": "+err.Error()
	}
}

// nextDone waits until some open chunk's produce has ended.
func (s *Shepherd) nextDone(ctx context.Context, chunks []consignment, open int) (*consignment, error) {
	if open == 1 {
		for i := range chunks {
			c := &chunks[i]
			if c.code != 0 {
				continue
			}
			_, err := c.future.Wait(ctx)
			if err != nil && !c.future.Done() {
				return nil, err
			}
			return c, nil
		}
	}
	waiting := make([]rt.Waitable, 0, open)
	which := make([]*consignment, 0, open)
	for i := range chunks {
		c := &chunks[i]
		if c.code != 0 {
			continue
		}
		if c.future.Done() {
			return c, nil
		}
		waiting, which = append(waiting, c.future), append(which, c)
	}
	i, err := rt.WaitAny(ctx, s.r, waiting...)
	if err != nil {
		return nil, err
	}
	return which[i], nil
}

// reship sends a refused chunk to a partition that has not refused it yet, if there is one and time is left. Its room
// was given back when the produce failed, so it must be had again.
func (s *Shepherd) reship(ctx context.Context, c *consignment) bool {
	if ctx.Err() != nil {
		return false
	}
	if more := int(c.at.partition) + 1 - len(c.tried); more > 0 {
		c.tried = append(c.tried, make([]bool, more)...)
	}
	c.tried[c.at.partition] = true
	if s.reserve(c.owner, c.load()) != room {
		return false
	}
	before := c.at
	if !s.ship(c) {
		s.release(c.owner, c.load())
		c.at = before
		return false
	}
	return true
}

// count adds statuses to the totals.
func (s *Shepherd) count(statuses []Status) { s.add(tally(statuses)) }

// tally counts statuses.
func tally(statuses []Status) (t Totals) {
	for i := range statuses {
		switch statuses[i].Code {
		case Accepted:
			t.Accepted++
		case Malformed:
			t.Malformed++
		case Throttled:
			t.Throttled++
		case Refused:
			t.Refused++
		case Unknown:
			t.Unknown++
		}
	}
	return t
}

func (s *Shepherd) add(t Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.Accepted += t.Accepted
	s.totals.Malformed += t.Malformed
	s.totals.Throttled += t.Throttled
	s.totals.Refused += t.Refused
	s.totals.Unknown += t.Unknown
}

// drawn is one batch in twenty: those that the planted bug RefusesAShare refuses.
func (s *Shepherd) drawn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(20) == 0
}

// pretendAll is the planted bug PartialAsSuccess: one success speaks for all.
func pretendAll(statuses []Status) {
	for i := range statuses {
		if statuses[i].Code != Accepted {
			continue
		}
		for j := range statuses {
			if statuses[j].Code != Accepted {
				statuses[j] = Status{Code: Accepted, Partition: -1, Offset: -1}
			}
		}
		return
	}
}

func fill(statuses []Status, code int, text string) {
	for i := range statuses {
		statuses[i] = Status{Code: code, Error: text, Partition: -1, Offset: -1}
	}
}

// textEmpty is the documented text for a body without events.
const textEmpty = "Request body should not be empty."
