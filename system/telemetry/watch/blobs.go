package watch

import (
	"context"

	"github.com/ratel-sim/ratel/system/port"
)

// blobs is a [port.Blobs] that is measured.
type blobs struct {
	m  *meter
	in port.Blobs
}

func (w *blobs) Put(ctx context.Context, key string, data []byte, cond port.Condition) (port.BlobInfo, error) {
	op := w.m.begin()
	a, err := w.in.Put(ctx, key, data, cond)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *blobs) Get(ctx context.Context, key string) ([]byte, port.BlobInfo, error) {
	op := w.m.begin()
	a, b, err := w.in.Get(ctx, key)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *blobs) GetRange(ctx context.Context, key string, off int64, length int64) ([]byte, error) {
	op := w.m.begin()
	a, err := w.in.GetRange(ctx, key, off, length)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *blobs) Head(ctx context.Context, key string) (port.BlobInfo, error) {
	op := w.m.begin()
	a, err := w.in.Head(ctx, key)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *blobs) List(ctx context.Context, prefix string, after string, limit int) ([]port.BlobInfo, bool, error) {
	op := w.m.begin()
	a, b, err := w.in.List(ctx, prefix, after, limit)
	w.m.end(ctx, op, err)
	return a, b, err
}

func (w *blobs) Delete(ctx context.Context, key string) error {
	op := w.m.begin()
	err := w.in.Delete(ctx, key)
	w.m.end(ctx, op, err)
	return err
}

func (w *blobs) BeginUpload(ctx context.Context, key string) (string, error) {
	op := w.m.begin()
	a, err := w.in.BeginUpload(ctx, key)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *blobs) UploadPart(ctx context.Context, key string, upload string, number int32, data []byte) (port.Part, error) {
	op := w.m.begin()
	a, err := w.in.UploadPart(ctx, key, upload, number, data)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *blobs) CompleteUpload(ctx context.Context, key string, upload string, parts []port.Part, cond port.Condition) (port.BlobInfo, error) {
	op := w.m.begin()
	a, err := w.in.CompleteUpload(ctx, key, upload, parts, cond)
	w.m.end(ctx, op, err)
	return a, err
}

func (w *blobs) AbortUpload(ctx context.Context, key string, upload string) error {
	op := w.m.begin()
	err := w.in.AbortUpload(ctx, key, upload)
	w.m.end(ctx, op, err)
	return err
}

// peers is a [port.Peers] that is measured.
type peers struct {
	m  *meter
	in port.Peers
}

func (w *peers) Call(ctx context.Context, node string, service string, request []byte) ([]byte, error) {
	op := w.m.begin()
	a, err := w.in.Call(ctx, node, service, request)
	w.m.end(ctx, op, err)
	return a, err
}

// webhooks is a [port.Webhooks] that is measured.
type webhooks struct {
	m  *meter
	in port.Webhooks
}

func (w *webhooks) Deliver(ctx context.Context, url string, key string, body []byte) error {
	op := w.m.begin()
	err := w.in.Deliver(ctx, url, key, body)
	w.m.end(ctx, op, err)
	return err
}
