package retriever

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
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
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeIDs reads what encodeIDs writes. Errors match port.ErrCorrupt.
func decodeIDs(data []byte) ([]event.ID, error) {
	if len(data) < len(idsMagic)+4 || string(data[:len(idsMagic)]) != idsMagic || (len(data)-len(idsMagic)-4)%idBytes != 0 {
		return nil, fmt.Errorf("%w: %d bytes that are no IDs", port.ErrCorrupt, len(data))
	}
	body := data[:len(data)-4]
	if want, got := binary.LittleEndian.Uint32(data[len(body):]), crc32.Checksum(body, castagnoli); want != got {
		return nil, fmt.Errorf("%w: IDs with CRC32C %08x, their end says %08x", port.ErrCorrupt, got, want)
	}
	ids := make([]event.ID, 0, len(body)/idBytes)
	for b := body[len(idsMagic):]; len(b) > 0; b = b[idBytes:] {
		ids = append(ids, event.ID{Source: binary.LittleEndian.Uint64(b), Seq: binary.LittleEndian.Uint64(b[8:])})
	}
	return ids, nil
}
