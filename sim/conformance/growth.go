package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/system/port"
)

// growTopic: CreatePartitions (KIP-195). New partitions are empty, replicated as the others, and take records.
func growTopic(ctx context.Context, e *LogEnv) error {
	if err := e.create(ctx, 2); err != nil {
		return err
	}
	p, err := e.producer()
	if err != nil {
		return err
	}
	if _, err := e.produce(ctx, p, 1, "a", "b"); err != nil {
		return err
	}
	admin := e.Log.Admin()
	for range 2 { // the second finds what the first did
		if err := admin.GrowTopic(ctx, e.Topic, 5); err != nil {
			return err
		}
	}
	parts, err := admin.Describe(ctx, e.Topic)
	if err != nil || len(parts) != 5 {
		return fmt.Errorf("%d partitions (%w), expected 5", len(parts), err)
	}
	leads := map[int32]int{}
	for i, part := range parts {
		brokers := slices.Clone(part.Replicas)
		slices.Sort(brokers)
		if part.Partition != int32(i) || part.Leader < 0 || len(slices.Compact(brokers)) != 3 {
			return fmt.Errorf("partition %d: %+v, expected three replicas and a leader", i, part)
		}
		leads[part.Leader]++
	}
	for broker, n := range leads { // order: any will do.
		if n > 2 {
			return fmt.Errorf("broker %d leads %d of 5 partitions: %+v", broker, n, parts)
		}
	}
	for part, want := range []int64{0, 2, 0, 0, 0} {
		if start, end, err := admin.Offsets(ctx, e.Topic, int32(part)); err != nil || start != 0 || end != want {
			return fmt.Errorf("partition %d: offsets %d to %d (%w), expected 0 to %d", part, start, end, err, want)
		}
	}
	if _, err := e.read(ctx, 1, 0, 2); err != nil {
		return fmt.Errorf("what was there: %w", err)
	}
	// The producer is the one from before: its client learns of the new partition when it needs it.
	if offsets, err := e.produce(ctx, p, 4, "c"); err != nil || offsets[0] != 0 {
		return fmt.Errorf("the first record of a new partition: offsets %v, %w", offsets, err)
	}
	return p.Close(ctx)
}

func shrinkTopic(ctx context.Context, e *LogEnv) error {
	missing := e.Log.Admin().GrowTopic(ctx, e.Topic, 3)
	if !errors.Is(missing, port.ErrNoTopic) {
		return fmt.Errorf("a topic that is not there: %w, expected ErrNoTopic", missing)
	}
	if err := e.create(ctx, 3); err != nil {
		return err
	}
	if err := e.Log.Admin().GrowTopic(ctx, e.Topic, 2); !errors.Is(err, port.ErrRefused) {
		return fmt.Errorf("from 3 partitions to 2: %w, expected a refusal", err)
	}
	if parts, err := e.Log.Admin().Describe(ctx, e.Topic); err != nil || len(parts) != 3 {
		return fmt.Errorf("%d partitions (%w), expected 3 as before", len(parts), err)
	}
	return nil
}

func widenDataset(ctx context.Context, e *CatalogEnv) error {
	team, err := e.team(ctx)
	if err != nil {
		return err
	}
	ds, _, err := e.A.CreateDataset(ctx, port.NewDataset{Team: team.ID, Name: "wide", Spread: 2, Of: 4})
	if err != nil {
		return err
	}
	want := slices.Clone(ds.Partitions)
	for _, more := range [][]int32{{5, 4}, {5, 4}, {6, ds.Partitions[0]}, nil} {
		if err := e.A.WidenDataset(ctx, ds.ID, more); err != nil {
			return err
		}
		want = append(want, more...)
		slices.Sort(want)
		want = slices.Compact(want)
		got, err := e.B.DatasetByID(ctx, ds.ID)
		if err != nil || !slices.Equal(got.Partitions, want) {
			return fmt.Errorf("after %v: %v (%w), expected %v", more, got.Partitions, err, want)
		}
	}
	return nil
}
