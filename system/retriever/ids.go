package retriever

import (
	"encoding/binary"
	"fmt"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/wire"
)

// The IDs of a seal's rows in the order of arrival: "RID1", 16 bytes each (Source, Seq), and the CRC32C of all of it, all
// little endian.
const (
	idsMagic = "RID1"
	idBytes  = 16
)

func encodeIDs(ids []event.ID) []byte {
	b := append(make([]byte, 0, len(idsMagic)+idBytes*len(ids)+4), idsMagic...)
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, id.Source)
		b = binary.LittleEndian.AppendUint64(b, id.Seq)
	}
	return wire.AppendSum(b, 0)
}

// decodeIDs reads what encodeIDs writes. Errors match port.ErrCorrupt.
func decodeIDs(data []byte) ([]event.ID, error) {
	r, err := wire.Open(data, idsMagic)
	if err == nil && r.Left()%idBytes != 0 {
		err = fmt.Errorf("%d bytes that are no whole IDs", r.Left())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: IDs: %w", port.ErrCorrupt, err)
	}
	ids := make([]event.ID, r.Left()/idBytes)
	for i := range ids {
		ids[i] = event.ID{Source: r.Fixed(), Seq: r.Fixed()}
	}
	return ids, nil
}
