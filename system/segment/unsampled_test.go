package segment

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestUnsampledIsTrue: a block says that its rows are not sampled only if none is, and says so of segments in which none is, whatever
// scan had its memory before.
func TestUnsampledIsTrue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := genRows(t)
		all := rapid.SampledFrom([]int64{0, 1, 5}).Draw(t, "rate of all") // 0: as they are
		for i := range rows {
			if all > 0 {
				rows[i].Event.SampleRate = all
			}
		}
		data, info, err := build(rows).Encode(0, 9, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(info, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, heads := range []Heads{HeadSampleRate, 0, allHeads} {
			err = ScanOnly(context.Background(), s, heads, nil, func(b *Block) error {
				switch {
				case heads&HeadSampleRate == 0 && b.Unsampled:
					return fmt.Errorf("unsampled, and nobody has looked")
				case b.Unsampled && slices.ContainsFunc(b.SampleRate[:b.Rows], func(rate int64) bool { return rate != 1 }):
					return fmt.Errorf("unsampled, with rates %v", b.SampleRate[:b.Rows])
				case all == 1 && heads&HeadSampleRate != 0 && b.Rows > 0 && !b.Unsampled:
					return fmt.Errorf("no rate but 1, and not unsampled: %v", b.SampleRate[:b.Rows])
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
