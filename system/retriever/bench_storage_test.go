package retriever

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/localdisk"
	"github.com/ratel-sim/ratel/system/manifest"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// onDisk is a retriever on a real directory, with an object store in memory: what its storage costs without a network.
func onDisk(b *testing.B, dir string, blobs *memBlobs) *Retriever {
	b.Helper()
	disk, err := localdisk.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { disk.Close() })
	place := Place{Topic: "events", Node: "retriever1", Zone: "a", Peers: []string{"retriever2"}}
	r := &handRuntime{Wall: rt.NewWall(1)}
	peers := &memPeers{nodes: map[string]port.PeerServer{}}
	re, err := New(r, port.Ports{Log: memLogClient{&memLog{}, r}, Disk: disk, Blobs: blobs, Peers: peers, Events: &sink{}}, handConfig(), place, planted.Set{})
	if err != nil {
		b.Fatal(err)
	}
	return re
}

// Seals of the benchmarks of storage.
const (
	benchSeals   = 6
	benchPerSeal = 50_000
)

// sealedAway indexes and seals benchSeals times benchPerSeal events of 30 columns.
func sealedAway(b *testing.B, re *Retriever) *state {
	b.Helper()
	ctx := context.Background()
	st, err := re.open(ctx, -1)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(st.store.close)
	const batch = 50
	offset := int64(0)
	for seal := range int64(benchSeals + 1) {
		var fetched port.Batch
		for i := 0; i < benchPerSeal; i += batch {
			value := event.AppendChunkFrom(nil, event.Dataset{ID: 1, Name: "d"}, benchEvents(batch, 30, uint64(seal)*benchPerSeal+uint64(i)), event.ID{Source: uint64(seal), Seq: uint64(i)})
			fetched.Records = append(fetched.Records, port.Fetched{Offset: offset, Record: port.Record{Value: value, Time: second(seal)}})
			if offset++; seal == benchSeals {
				break // one record ends the seal before
			}
		}
		if err := re.keep(ctx, st, fetched, re.r.Now()); err != nil {
			b.Fatal(err)
		}
	}
	return st
}

// sequential writes and syncs n bytes in one file, and reads them again, as fast as that goes one after another. What was
// written just before is most likely read from memory.
func sequential(b *testing.B, dir string, n int64) (write, read float64) {
	b.Helper()
	name, piece := filepath.Join(dir, "sequential"), make([]byte, 1<<20)
	began := time.Now()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for done := int64(0); done < n; done += int64(len(piece)) {
		if _, err := f.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	wrote := time.Since(began)
	began = time.Now()
	for off := int64(0); off < n; off += int64(len(piece)) {
		if _, err := f.ReadAt(piece, off); err != nil {
			b.Fatal(err)
		}
	}
	megabytes := float64(n) / 1e6
	return megabytes / wrote.Seconds(), megabytes / time.Since(began).Seconds()
}

func storedBytes(blobs *memBlobs) (n int64) {
	for _, data := range blobs.objects { // order: summed up
		n += int64(len(data))
	}
	return n
}

// BenchmarkSnapshot uploads six sealed ranges of 50,000 events of 30 columns from a real disk and writes the manifest. It
// reads every byte once and verifies its checksum, so the disk's sequential reading is the bound; it is measured in the
// same run.
func BenchmarkSnapshot(b *testing.B) {
	dir := b.TempDir()
	blobs := newMemBlobs()
	re := onDisk(b, dir, blobs)
	st := sealedAway(b, re)
	var size int64
	for b.Loop() {
		b.StopTimer()
		clear(blobs.objects)
		b.StartTimer()
		if err := re.snapshot(context.Background(), st); err != nil {
			b.Fatal(err)
		}
		size = storedBytes(blobs)
	}
	write, read := sequential(b, dir, size)
	b.ReportMetric(float64(size)*float64(b.N)/1e6/b.Elapsed().Seconds(), "MB/s")
	b.ReportMetric(read, "disk-read-MB/s")
	b.ReportMetric(write, "disk-write-MB/s")
	b.ReportMetric(float64(size)/1e6, "MB")
}

// BenchmarkBootstrap begins from that snapshot on an empty disk: the manifest and the IDs of the latest seals are fetched,
// written and remembered. The segments stay in the object store, where queries read them, so "MB" and "MB/s" are of the
// IDs, which are written and synced, and "snapshot-MB/s" is of what is served afterwards.
func BenchmarkBootstrap(b *testing.B) {
	blobs := newMemBlobs()
	re := onDisk(b, b.TempDir(), blobs)
	if err := re.snapshot(context.Background(), sealedAway(b, re)); err != nil {
		b.Fatal(err)
	}
	var dir string
	for b.Loop() {
		b.StopTimer()
		dir = b.TempDir()
		fresh := onDisk(b, dir, blobs)
		b.StartTimer()
		st, err := fresh.open(context.Background(), -1)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if st.part.first == 0 {
			b.Fatal("it did not begin from the snapshot")
		}
		st.store.close()
		b.StartTimer()
	}
	ids := int64(0)
	m, err := manifest.NewStore(blobs).Load(context.Background(), 0)
	if err != nil {
		b.Fatal(err)
	}
	for i := range m.Seals {
		ids += int64(len(blobs.objects[m.Seals[i].IDs]))
	}
	write, read := sequential(b, dir, ids)
	b.ReportMetric(float64(ids)*float64(b.N)/1e6/b.Elapsed().Seconds(), "MB/s")
	b.ReportMetric(float64(storedBytes(blobs))*float64(b.N)/1e6/b.Elapsed().Seconds(), "snapshot-MB/s")
	b.ReportMetric(read, "disk-read-MB/s")
	b.ReportMetric(write, "disk-write-MB/s")
	b.ReportMetric(float64(ids)/1e6, "MB")
}
