package mysql

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/catalog"
	"github.com/ratel-sim/ratel/system/port"
)

const selectTeam = `SELECT t.id, t.name, t.events_per_second, t.burst, t.dataset_events_per_second, t.dataset_burst
FROM api_keys k JOIN teams t ON t.id = k.team_id WHERE k.key_hash = ?`

func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

func teamByKey(ctx context.Context, q querier, key string) (t port.Team, err error) {
	err = q.QueryRowContext(ctx, selectTeam, hash(key)).Scan(&t.ID, &t.Name, &t.Limits.EventsPerSecond, &t.Limits.Burst,
		&t.DatasetLimits.EventsPerSecond, &t.DatasetLimits.Burst)
	return t, err
}

// TeamByKey implements [port.Catalog].
func (c *Catalog) TeamByKey(ctx context.Context, key string) (t port.Team, err error) {
	err = c.read(ctx, "team by key", func(ctx context.Context, q querier) error {
		t, err = teamByKey(ctx, q, key)
		return err
	})
	return t, err
}

// CreateTeam implements [port.Catalog].
func (c *Catalog) CreateTeam(ctx context.Context, n port.NewTeam) (port.Team, error) {
	if err := catalog.CheckName("team", n.Name); err != nil {
		return port.Team{}, fmt.Errorf("mysql: create team: %w", err)
	}
	if t, err := c.TeamByKey(ctx, n.Key); !errors.Is(err, port.ErrNotFound) {
		return t, err
	}
	t := port.Team{Name: n.Name, Limits: n.Limits, DatasetLimits: n.DatasetLimits}
	err := c.write(ctx, "create team "+n.Name, func(ctx context.Context, q querier) error {
		res, err := q.ExecContext(ctx, "INSERT INTO teams (name, events_per_second, burst, dataset_events_per_second, dataset_burst) VALUES (?, ?, ?, ?, ?)",
			n.Name, n.Limits.EventsPerSecond, n.Limits.Burst, n.DatasetLimits.EventsPerSecond, n.DatasetLimits.Burst)
		if err != nil {
			return err
		}
		if t.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, "INSERT INTO api_keys (key_hash, team_id) VALUES (?, ?)", hash(n.Key), t.ID)
		return err
	})
	if number(err) == erDupEntry { // somebody else was faster, and the transaction was rolled back
		return c.TeamByKey(ctx, n.Key)
	}
	if err != nil {
		return port.Team{}, err
	}
	return t, nil
}

// SetTeamLimits implements [port.Catalog].
func (c *Catalog) SetTeamLimits(ctx context.Context, team int64, limits, datasets port.Limits) error {
	return c.write(ctx, fmt.Sprintf("set limits of team %d", team), func(ctx context.Context, q querier) error {
		return found(q.ExecContext(ctx, "UPDATE teams SET events_per_second = ?, burst = ?, dataset_events_per_second = ?, dataset_burst = ? WHERE id = ?",
			limits.EventsPerSecond, limits.Burst, datasets.EventsPerSecond, datasets.Burst, team))
	})
}
