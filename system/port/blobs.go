package port

import (
	"context"
	"errors"
)

// Errors of the Blobs port, beside [ErrRefused] and [ErrUnknown]. They are certain.
var (
	// ErrNoBlob: there is no object of that key, or no such upload.
	ErrNoBlob = errors.New("no such object")
	// ErrPrecondition: the condition of a put does not hold; nothing was written.
	ErrPrecondition = errors.New("the object is not as the condition demands")
	// ErrSlowDown: S3 asks to come back later (503). It also matches ErrRefused.
	ErrSlowDown = errors.New("object store asks to slow down")
)

// BlobInfo is an object's metadata.
type BlobInfo struct {
	Key  string
	Size int64
	ETag string
}

// Condition is what must hold for a put to take effect, atomically. The zero Condition always holds.
type Condition struct {
	IfAbsent bool   // no object of that key is there (If-None-Match: *)
	IfMatch  string // the object there has this ETag
}

// Part is one uploaded part of a multipart upload.
type Part struct {
	Number int32 // from 1
	ETag   string
}

// Blobs is an object store with S3's semantics: strongly consistent reads and lists, whole objects appear at once.
// Keys are slash-separated, and no key may be what another begins with up to a slash ("a" and "a/b"): MinIO takes both and
// lists only one. What is given to Put and UploadPart is not kept by reference; what Get and GetRange return must not be
// changed, because several readers may share it.
type Blobs interface {
	Put(ctx context.Context, key string, data []byte, cond Condition) (BlobInfo, error)
	Get(ctx context.Context, key string) ([]byte, BlobInfo, error)
	// GetRange reads length bytes from off on; fewer if the object ends before.
	GetRange(ctx context.Context, key string, off, length int64) ([]byte, error)
	Head(ctx context.Context, key string) (BlobInfo, error)
	// List returns at most limit objects whose keys begin with prefix and come after a key, in order; more says that there are others.
	List(ctx context.Context, prefix, after string, limit int) (page []BlobInfo, more bool, err error)
	// Delete succeeds if nothing was there.
	Delete(ctx context.Context, key string) error

	// A multipart upload is invisible until it is completed. Every part but the last has at least 5 MiB.
	BeginUpload(ctx context.Context, key string) (upload string, err error)
	UploadPart(ctx context.Context, key, upload string, number int32, data []byte) (Part, error)
	CompleteUpload(ctx context.Context, key, upload string, parts []Part, cond Condition) (BlobInfo, error)
	// AbortUpload drops an upload and its parts. It succeeds if there is no such upload (any more).
	AbortUpload(ctx context.Context, key, upload string) error
}
