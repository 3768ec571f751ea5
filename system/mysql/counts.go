package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

// Advance implements [port.Counts].
func (c *Catalog) Advance(ctx context.Context, a port.Advance) error {
	what := fmt.Sprintf("advance %s at %s/%d from %d to %d", a.Consumer, a.Topic, a.Partition, a.From, a.To)
	if err := catalog.CheckAdvance(a); err != nil {
		return fmt.Errorf("mysql: %s: %w", what, err)
	}
	counts := catalog.SortCounts(a.Counts)
	return c.write(ctx, what, func(ctx context.Context, q querier) error {
		if err := moveProgress(ctx, q, a); err != nil {
			return err
		}
		live, err := slosOf(ctx, q, counts)
		if err != nil {
			return err
		}
		rest := counts
		if len(live) < len(counts) {
			rest = slices.DeleteFunc(slices.Clone(counts), func(n port.SLOCount) bool { return !live[n.SLO] })
		}
		for len(rest) > 0 {
			n := min(len(rest), maxRows)
			if err := addCounts(ctx, q, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}

// moveProgress compares and sets the progress row, and has it locked afterwards.
func moveProgress(ctx context.Context, q querier, a port.Advance) error {
	update := func() (bool, error) {
		res, err := q.ExecContext(ctx, `UPDATE count_progress SET next_offset = ?, marked = NOW(6), node = ?
WHERE consumer = ? AND topic = ? AND partition_id = ? AND next_offset = ?`, a.To, []byte(a.By), []byte(a.Consumer), []byte(a.Topic), a.Partition, a.From)
		if err != nil {
			return false, err
		}
		n, err := res.RowsAffected()
		return n > 0, err
	}
	moved, err := update()
	if err == nil && !moved && a.From == 0 {
		_, err = q.ExecContext(ctx, "INSERT INTO count_progress (consumer, topic, partition_id, next_offset, marked, node) VALUES (?, ?, ?, ?, NOW(6), ?)",
			[]byte(a.Consumer), []byte(a.Topic), a.Partition, a.To, []byte(a.By))
		moved = err == nil
		if number(err) == erDupEntry { // there is a row: elsewhere, or since a moment ago where it should be
			moved, err = update()
		}
	}
	if err == nil && !moved {
		err = port.ErrNotThere
	}
	return err
}

// slosOf says which of the counts' SLOs are there, and keeps them from being deleted until the transaction ends.
func slosOf(ctx context.Context, q querier, counts []port.SLOCount) (map[int64]bool, error) {
	live := map[int64]bool{}
	var ids []any
	for i, n := range counts {
		if i == 0 || n.SLO != counts[i-1].SLO {
			ids = append(ids, n.SLO)
		}
	}
	for part := range slices.Chunk(ids, maxRows) {
		query := "SELECT id FROM definitions WHERE id IN (?" + strings.Repeat(",?", len(part)-1) + ") AND kind = ? ORDER BY id LOCK IN SHARE MODE"
		if err := each(ctx, q, query, append(slices.Clone(part), []byte(port.KindSLO)), func(r row) error {
			var id int64
			err := r.Scan(&id)
			live[id] = true
			return err
		}); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// addCounts adds to what the rows have as [port.SLOCount.Add] does.
func addCounts(ctx context.Context, q querier, counts []port.SLOCount) error {
	var b strings.Builder
	b.WriteString("INSERT INTO slo_counts (slo_id, minute, good, total) VALUES ")
	args := make([]any, 0, 4*len(counts)+2)
	for i, n := range counts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("(?,?,?,?)")
		args = append(args, n.SLO, n.Minute, n.Good, n.Total)
	}
	// MySQL assigns from left to right, so good looks at the total as it was.
	b.WriteString(" ON DUPLICATE KEY UPDATE good = good + IF(total <= ? - VALUES(total), VALUES(good), 0), total = total + IF(total <= ? - VALUES(total), VALUES(total), 0)")
	args = append(args, int64(port.MaxCount), int64(port.MaxCount))
	_, err := q.ExecContext(ctx, b.String(), args...)
	return err
}

// ProgressOf implements [port.Counts].
func (c *Catalog) ProgressOf(ctx context.Context, consumer, topic string) (all []port.Progress, err error) {
	err = c.read(ctx, fmt.Sprintf("progress of %s at %s", consumer, topic), func(ctx context.Context, q querier) error {
		all = nil
		return each(ctx, q, "SELECT partition_id, next_offset, marked, node FROM count_progress WHERE consumer = ? AND topic = ? ORDER BY partition_id",
			[]any{[]byte(consumer), []byte(topic)}, func(r row) error {
				p := port.Progress{Consumer: consumer, Topic: topic}
				var by []byte
				err := r.Scan(&p.Partition, &p.Next, &p.At, &by)
				p.By = string(by)
				all = append(all, p)
				return err
			})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// SLOCounts implements [port.Counts].
func (c *Catalog) SLOCounts(ctx context.Context, slo, from, to int64) (all []port.SLOCount, err error) {
	err = c.read(ctx, fmt.Sprintf("counts of SLO %d", slo), func(ctx context.Context, q querier) error {
		all = nil
		return each(ctx, q, "SELECT minute, good, total FROM slo_counts WHERE slo_id = ? AND minute >= ? AND minute < ? ORDER BY minute",
			[]any{slo, from, to}, func(r row) error {
				n := port.SLOCount{SLO: slo}
				err := r.Scan(&n.Minute, &n.Good, &n.Total)
				all = append(all, n)
				return err
			})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
