package evidence

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// Marks are written in a compact binary form, about 3 bytes a mark before compression where JSON has 70:
//
//	file  = "RTLM" version(1 byte) kind(1 byte: 0 log, 1 held) names count { mark } .
//	names = uvarint number { uvarint length, bytes } .      retrievers; none in a log
//	count = uvarint .
//	mark  = head [ retriever ] [ partition ] [ offset ] [ producer ] seq .
//
// head is one byte: bits 0–1 the state; bits 2–5 say which of the optional parts follow, in their order. A part that does
// not follow is as in the mark before; the first mark follows one of all zeroes. retriever is a uvarint index into names;
// the others are zigzag varints of the difference to the mark before, seq of the difference to the one after it.
const (
	marksMagic   = "RTLM"
	marksVersion = 1
	kindLog      = 0
	kindHeld     = 1

	hasRetriever = 1 << 2
	hasPartition = 1 << 3
	hasOffset    = 1 << 4
	hasProducer  = 1 << 5

	maxRetrievers = 1 << 16
	maxName       = 256
)

func writeLog(w io.Writer, log []LogMark) error {
	e := marksEncoder{w: w}
	e.header(kindLog, nil, len(log))
	for _, m := range log {
		e.mark(HeldMark{Partition: m.Partition, Offset: m.Offset, Producer: m.Producer, Seq: m.Seq, State: m.State}, 0)
	}
	return e.flush()
}

func writeHeld(w io.Writer, held []HeldMark) error {
	var names []string
	index := map[string]uint64{}
	last, lastIndex := "", uint64(0)
	find := func(name string) uint64 {
		if name == last && len(names) > 0 {
			return lastIndex
		}
		i, ok := index[name]
		if !ok {
			i = uint64(len(names))
			index[name], names = i, append(names, name)
		}
		last, lastIndex = name, i
		return i
	}
	for i := range held {
		find(held[i].Retriever)
	}
	e := marksEncoder{w: w}
	e.header(kindHeld, names, len(held))
	for i := range held {
		e.mark(held[i], find(held[i].Retriever))
	}
	return e.flush()
}

type marksEncoder struct {
	w       io.Writer
	buf     []byte
	err     error
	prev    HeldMark
	prevRet uint64
}

func (e *marksEncoder) header(kind byte, names []string, count int) {
	e.buf = append(e.buf, marksMagic...)
	e.buf = append(e.buf, marksVersion, kind)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(names)))
	if len(names) > maxRetrievers {
		e.err = fmt.Errorf("%d retrievers are more than %d", len(names), maxRetrievers)
	}
	for _, n := range names {
		if len(n) > maxName {
			e.err = fmt.Errorf("the name of retriever %.40q… is longer than %d bytes", n, maxName)
		}
		e.buf = binary.AppendUvarint(e.buf, uint64(len(n)))
		e.buf = append(e.buf, n...)
	}
	e.buf = binary.AppendUvarint(e.buf, uint64(count))
}

func (e *marksEncoder) mark(m HeldMark, retriever uint64) {
	if m.State > Unreadable {
		e.err = fmt.Errorf("mark of producer %d, sequence %d: state %d is not known", m.Producer, m.Seq, m.State)
		return
	}
	at := len(e.buf)
	head := byte(m.State)
	e.buf = append(e.buf, 0)
	if retriever != e.prevRet {
		head |= hasRetriever
		e.buf = binary.AppendUvarint(e.buf, retriever)
	}
	if m.Partition != e.prev.Partition {
		head |= hasPartition
		e.buf = binary.AppendVarint(e.buf, int64(m.Partition)-int64(e.prev.Partition))
	}
	if m.Offset != e.prev.Offset {
		head |= hasOffset
		e.buf = binary.AppendVarint(e.buf, m.Offset-e.prev.Offset)
	}
	if m.Producer != e.prev.Producer {
		head |= hasProducer
		e.buf = binary.AppendVarint(e.buf, int64(m.Producer)-int64(e.prev.Producer))
	}
	e.buf = binary.AppendVarint(e.buf, int64(m.Seq-e.prev.Seq-1))
	e.buf[at] = head
	e.prev, e.prevRet = m, retriever
	if len(e.buf) >= 1<<15 && e.flush() == nil {
		e.buf = e.buf[:0]
	}
}

func (e *marksEncoder) flush() error {
	if e.err != nil {
		return e.err
	}
	_, e.err = e.w.Write(e.buf)
	e.buf = e.buf[:0]
	return e.err
}

func readLog(r io.Reader, budget *int64) ([]LogMark, error) {
	var log []LogMark
	err := readMarks(r, kindLog, int64(unsafe.Sizeof(LogMark{})), budget, func(m HeldMark) {
		log = append(log, LogMark{Partition: m.Partition, Offset: m.Offset, Producer: m.Producer, Seq: m.Seq, State: m.State})
	})
	return log, err
}

func readHeld(r io.Reader, budget *int64) ([]HeldMark, error) {
	var held []HeldMark
	err := readMarks(r, kindHeld, int64(unsafe.Sizeof(HeldMark{})), budget, func(m HeldMark) { held = append(held, m) })
	return held, err
}

// readMarks decodes a file of marks. It takes size from budget for each, and reads nothing that the budget does not cover.
func readMarks(r io.Reader, kind byte, size int64, budget *int64, add func(HeldMark)) error {
	br := bufio.NewReaderSize(r, 1<<16)
	var head [len(marksMagic) + 2]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return cutShort(err)
	}
	switch {
	case string(head[:len(marksMagic)]) != marksMagic:
		return fmt.Errorf("%w: it does not begin with %q", ErrDamaged, marksMagic)
	case head[len(marksMagic)] != marksVersion:
		return fmt.Errorf("%w: marks of version %d, expected %d", ErrVersion, head[len(marksMagic)], marksVersion)
	case head[len(marksMagic)+1] != kind:
		return fmt.Errorf("%w: marks of kind %d, expected %d", ErrDamaged, head[len(marksMagic)+1], kind)
	}
	names, err := readNames(br)
	if err != nil {
		return err
	}
	count, err := readUvarint(br)
	if err != nil {
		return cutShort(err)
	}
	if count > math.MaxInt64 || int64(count) > *budget/size {
		return fmt.Errorf("%d marks: %w", count, errBudget)
	}
	*budget -= int64(count) * size
	d := marksDecoder{r: br, names: names}
	for i := range count {
		if err := d.next(); err != nil {
			return fmt.Errorf("mark %d of %d: %w", i+1, count, err)
		}
		add(d.mark)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the last of %d marks", ErrDamaged, count)
	}
	return nil
}

func readNames(br *bufio.Reader) ([]string, error) {
	n, err := readUvarint(br)
	if err != nil {
		return nil, cutShort(err)
	}
	if n > maxRetrievers {
		return nil, fmt.Errorf("%w: %d retrievers, more than %d", ErrDamaged, n, maxRetrievers)
	}
	var names []string
	for range n {
		length, err := readUvarint(br)
		if err != nil {
			return nil, cutShort(err)
		}
		if length > maxName {
			return nil, fmt.Errorf("%w: a retriever's name of %d bytes", ErrDamaged, length)
		}
		name := make([]byte, length)
		if _, err := io.ReadFull(br, name); err != nil {
			return nil, cutShort(err)
		}
		names = append(names, string(name))
	}
	return names, nil
}

type marksDecoder struct {
	r     *bufio.Reader
	names []string
	begun bool
	mark  HeldMark
}

func (d *marksDecoder) next() error {
	head, err := d.r.ReadByte()
	if err != nil {
		return cutShort(err)
	}
	if head >= hasProducer<<1 {
		return fmt.Errorf("%w: head byte %#x is not known", ErrDamaged, head)
	}
	d.mark.State = MarkState(head & 3)
	if head&hasRetriever != 0 || !d.begun {
		i := uint64(0)
		if head&hasRetriever != 0 {
			if i, err = readUvarint(d.r); err != nil {
				return cutShort(err)
			}
		}
		switch {
		case i < uint64(len(d.names)):
			d.mark.Retriever = d.names[i]
		case len(d.names) > 0 || i > 0:
			return fmt.Errorf("%w: retriever %d of %d", ErrDamaged, i+1, len(d.names))
		}
		d.begun = true
	}
	partition, producer := int64(d.mark.Partition), int64(d.mark.Producer)
	for _, part := range []struct {
		bit   byte
		value *int64
	}{{hasPartition, &partition}, {hasOffset, &d.mark.Offset}, {hasProducer, &producer}} {
		if head&part.bit == 0 {
			continue
		}
		delta, err := readVarint(d.r)
		if err != nil {
			return cutShort(err)
		}
		*part.value += delta
	}
	if partition < math.MinInt32 || partition > math.MaxInt32 || producer < 0 || producer > math.MaxUint32 {
		return fmt.Errorf("%w: partition %d or producer %d is out of range", ErrDamaged, partition, producer)
	}
	delta, err := readVarint(d.r)
	if err != nil {
		return cutShort(err)
	}
	d.mark.Partition, d.mark.Producer = int32(partition), uint32(producer)
	d.mark.Seq += uint64(delta) + 1
	return nil
}

// readUvarint is binary.ReadUvarint with an error of a kind for a number that is too long.
func readUvarint(r io.ByteReader) (uint64, error) {
	v := uint64(0)
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case shift == 63 && b > 1:
			return 0, fmt.Errorf("%w: a number of more than 64 bits", ErrDamaged)
		case b < 0x80:
			return v | uint64(b)<<shift, nil
		}
		v |= uint64(b&0x7f) << shift
	}
}

// readVarint reads a zigzag varint.
func readVarint(r io.ByteReader) (int64, error) {
	u, err := readUvarint(r)
	return int64(u>>1) ^ -int64(u&1), err
}

// cutShort is the error of a file that ends too early, or of reading it at all.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return err
}
