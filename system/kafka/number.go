package kafka

import (
	"encoding/binary"

	"github.com/IBM/sarama"
)

// numberKey is the key of the header in which a record's number travels, as 8 bytes, big endian.
const numberKey = "number"

func numberHeader(n uint64) []sarama.RecordHeader {
	if n == 0 {
		return nil
	}
	return []sarama.RecordHeader{{Key: []byte(numberKey), Value: binary.BigEndian.AppendUint64(nil, n)}}
}

// numberOf finds a record's number; 0 if it has none.
func numberOf(headers []*sarama.RecordHeader) uint64 {
	for _, h := range headers {
		if string(h.Key) == numberKey && len(h.Value) == 8 {
			return binary.BigEndian.Uint64(h.Value)
		}
	}
	return 0
}

// sizeOfNumber is what the header takes by Sarama's count.
func sizeOfNumber(n uint64) int {
	if n == 0 {
		return 0
	}
	return len(numberKey) + 8 + 2*binary.MaxVarintLen32
}
