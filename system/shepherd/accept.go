package shepherd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// maxDatasetBytes bounds a dataset's name.
const maxDatasetBytes = 255

// Texts of statuses, for clients.
const (
	textShed     = "too much is in flight here: the event was not stored; send it again later"
	textDraining = "this shepherd is shutting down: the event was not stored; send it again elsewhere"
	textUnknown  = "Kafka has not acknowledged the event in time: it may have been stored or may still be; sending it again may duplicate it"
)

// consignment is one chunk of a batch on its way.
type consignment struct {
	first, count int // in the request's events
	value        []byte
	tried        []bool // partitions that refused it; nil until one has
	at           *shipment
	future       *rt.Future[int64]
	code         int // 0 while open
	err          string
	offset       int64
}

// Accept takes one batch and returns when the fate of each event is known or AckTimeout has passed, whichever comes
// first, or when ctx ends. It does not change or keep the request's events. Limits on a single event's fields and
// strings are the decoder's business; Accept refuses only events that no Kafka record can hold.
func (s *Shepherd) Accept(ctx context.Context, req Request) Answer {
	if problem := checkTeam(req.Team); problem != "" {
		return Answer{Code: 401, Error: problem}
	}
	if problem := checkDataset(req.Dataset); problem != "" {
		return Answer{Code: 400, Error: problem}
	}
	if len(req.Events) == 0 {
		return Answer{Code: 400, Error: textEmpty}
	}
	statuses := make([]Status, len(req.Events))
	if !s.begin() {
		fill(statuses, Refused, textDraining)
		s.count(statuses)
		return Answer{Code: 200, Statuses: statuses}
	}
	s.accept(ctx, req, statuses)
	if s.partialAsSuccess {
		pretendAll(statuses)
	}
	s.count(statuses)
	s.end()
	return Answer{Code: 200, Statuses: statuses}
}

func (s *Shepherd) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.requests++
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

func (s *Shepherd) accept(ctx context.Context, req Request, statuses []Status) {
	var room [1]consignment // most batches are one chunk
	chunks := s.load(req, statuses, room[:0])
	if s.early != nil {
		s.early.take(chunks, statuses)
		return
	}
	if len(chunks) == 0 {
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
		st := Status{Code: c.code, Error: c.err, Partition: -1, Offset: -1}
		if req.Receipts && c.code == Accepted {
			st.Partition, st.Offset = c.at.partition, c.offset
		}
		for j := c.first; j < c.first+c.count; j++ {
			statuses[j] = st
		}
	}
}

// load cuts a batch into encoded chunks and takes room for each. What finds no room, or fits into no record, is
// answered at once.
func (s *Shepherd) load(req Request, statuses []Status, chunks []consignment) []consignment {
	shed := 0
	for first := 0; first < len(req.Events); {
		count := s.chunkLen(req.Events[first:])
		answers := statuses[first : first+count]
		s.mu.Lock()
		id := s.next
		room := s.reserveLocked(load{events: int64(count)})
		if room {
			s.next.Seq += uint64(count)
		}
		s.mu.Unlock()
		if room {
			events := req.Events[first : first+count]
			value := s.encode(req.Dataset, events, id)
			switch {
			case len(value) > maxRecordBytes:
				s.release(load{events: int64(count)})
				fill(answers, Malformed, fmt.Sprintf("Event is too large: %d bytes encoded, at most %d fit into one record.", len(value), maxRecordBytes))
				first += count
				continue
			case s.reserve(load{bytes: int64(len(value))}):
				chunks = append(chunks, consignment{first: first, count: count, value: value})
				first += count
				continue
			}
			s.release(load{events: int64(count)})
		}
		fill(answers, Throttled, textShed)
		shed += count
		first += count
	}
	if shed > 0 {
		s.shed(shed)
	}
	return chunks
}

// chunkLen is how many of the events go into the next chunk: ChunkEvents, or fewer large ones.
func (s *Shepherd) chunkLen(events []event.Event) int {
	n := min(s.cfg.ChunkEvents, len(events))
	size := 0
	for i := range n {
		if size += events[i].Size() + 64; size > maxRecordBytes && i > 0 {
			return i
		}
	}
	return n
}

// encode makes a chunk. Its size is known only once it is made, so it is made in memory that is used again and again.
func (s *Shepherd) encode(dataset string, events []event.Event, first event.ID) []byte {
	scratch, _ := s.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	*scratch = event.AppendChunkFrom((*scratch)[:0], event.Dataset{Name: dataset}, events, first)
	value := bytes.Clone(*scratch)
	s.scratch.Put(scratch)
	return value
}

// ship hands a chunk to Kafka on a partition that has not refused it. It returns false if there is none left.
func (s *Shepherd) ship(c *consignment) bool {
	sh := s.pick(c.tried, load{events: int64(c.count), bytes: int64(len(c.value))})
	if sh == nil {
		return false
	}
	c.at = sh
	c.future = s.producer.Produce(Topic, sh.partition, port.Record{Value: c.value, Time: sh.sent})
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
	if c.tried == nil {
		c.tried = make([]bool, len(s.partitions))
	}
	c.tried[c.at.partition] = true
	l := load{events: int64(c.count), bytes: int64(len(c.value))}
	if !s.reserve(l) {
		return false
	}
	before := c.at
	if !s.ship(c) {
		s.release(l)
		c.at = before
		return false
	}
	return true
}

// count adds statuses to the totals.
func (s *Shepherd) count(statuses []Status) {
	var t Totals
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
	s.add(t)
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

// checkTeam says what is wrong with a key; empty if nothing is. There is no catalog of keys yet, so any is good.
func checkTeam(team string) string {
	switch {
	case team == "":
		return "unknown API key - check your credentials: the X-Honeycomb-Team header is missing"
	case len(team) > 256:
		return "unknown API key - check your credentials: the key is longer than 256 bytes"
	}
	return ""
}

// checkDataset says what is wrong with a dataset's name; empty if nothing is.
func checkDataset(name string) string {
	switch {
	case name == "":
		return "the dataset's name is missing: POST to /1/batch/{dataset}"
	case len(name) > maxDatasetBytes:
		return fmt.Sprintf("the dataset's name has %d bytes, at most %d are allowed", len(name), maxDatasetBytes)
	case !utf8.ValidString(name):
		return "the dataset's name is not UTF-8"
	case strings.ContainsRune(name, '/'):
		return "the dataset's name contains a slash"
	case strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return "the dataset's name contains a control character"
	case strings.TrimSpace(name) == "":
		return "the dataset's name is blank"
	}
	return ""
}

// textEmpty is the documented text for a body without events.
const textEmpty = "Request body should not be empty."
