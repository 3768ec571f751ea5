package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/system/port"
)

// minPart is the least size of a part that is not the last.
const minPart = 5 << 20

// upload begins an upload and uploads parts, numbered from 1.
func (e *BlobsEnv) upload(ctx context.Context, name string, data ...[]byte) (id string, parts []port.Part, err error) {
	if id, err = e.A.BeginUpload(ctx, e.key(name)); err != nil {
		return "", nil, err
	}
	for i, d := range data {
		part, err := e.A.UploadPart(ctx, e.key(name), id, int32(i+1), d)
		if err != nil {
			return "", nil, err
		}
		parts = append(parts, part)
	}
	return id, parts, nil
}

func uploadInvisible(ctx context.Context, e *BlobsEnv) error {
	first, last := bytes.Repeat([]byte("first"), minPart/5+1), []byte("last")
	id, parts, err := e.upload(ctx, "x", first, last)
	if err != nil {
		return err
	}
	page, _, err := e.B.List(ctx, e.Prefix, "", 10)
	if err != nil || len(page) > 0 {
		return fmt.Errorf("listed before it is completed: %v, %w", page, err)
	}
	if err := e.absent(ctx, "x"); err != nil {
		return err
	}
	done, err := e.A.CompleteUpload(ctx, e.key("x"), id, parts, port.Condition{})
	if err != nil {
		return err
	}
	data, info, err := e.B.Get(ctx, e.key("x"))
	if err != nil || !bytes.Equal(data, append(first, last...)) || info != done {
		return fmt.Errorf("%d bytes, %+v, %w; expected %d, %+v", len(data), info, err, len(first)+len(last), done)
	}
	return nil
}

func uploadOnce(ctx context.Context, e *BlobsEnv) error {
	id, parts, err := e.upload(ctx, "x", []byte("only part"))
	if err != nil {
		return err
	}
	if _, err := e.A.CompleteUpload(ctx, e.key("x"), id, parts, port.Condition{}); err != nil {
		return err
	}
	_, err = e.A.CompleteUpload(ctx, e.key("x"), id, parts, port.Condition{})
	return errors.Join(certainly("complete again", err, port.ErrNoBlob), e.holds(ctx, "x", "only part"))
}

func uploadParts(ctx context.Context, e *BlobsEnv) error {
	big := bytes.Repeat([]byte("b"), minPart)
	id, parts, err := e.upload(ctx, "x", big, []byte("small"), []byte("last"))
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what  string
		named []port.Part
	}{
		{"parts out of order", []port.Part{parts[1], parts[0]}},
		{"a part that was not uploaded", []port.Part{parts[0], {Number: 9, ETag: parts[1].ETag}}},
		{"a part with another ETag", []port.Part{{Number: 1, ETag: parts[1].ETag}}},
		{"a part that is small, not last", []port.Part{parts[0], parts[1], parts[2]}},
	} {
		_, err := e.A.CompleteUpload(ctx, e.key("x"), id, c.named, port.Condition{})
		if err := errors.Join(refused(c.what, err, nil), e.absent(ctx, "x")); err != nil {
			return err
		}
	}
	if _, err := e.A.CompleteUpload(ctx, e.key("x"), id, []port.Part{parts[0], parts[2]}, port.Condition{}); err != nil {
		return fmt.Errorf("some of the parts: %w", err)
	}
	return e.holds(ctx, "x", string(big)+"last")
}

func partAgain(ctx context.Context, e *BlobsEnv) error {
	id, _, err := e.upload(ctx, "x", []byte("first"))
	if err != nil {
		return err
	}
	again, err := e.B.UploadPart(ctx, e.key("x"), id, 1, []byte("second"))
	if err != nil {
		return err
	}
	if _, err := e.A.CompleteUpload(ctx, e.key("x"), id, []port.Part{again}, port.Condition{}); err != nil {
		return err
	}
	return e.holds(ctx, "x", "second")
}

func uploadCondition(ctx context.Context, e *BlobsEnv) error {
	if _, err := e.put(ctx, "x", "there"); err != nil {
		return err
	}
	id, parts, err := e.upload(ctx, "x", []byte("uploaded"))
	if err != nil {
		return err
	}
	_, err = e.A.CompleteUpload(ctx, e.key("x"), id, parts, port.Condition{IfAbsent: true})
	if err := errors.Join(certainly("complete over an object", err, port.ErrPrecondition), e.holds(ctx, "x", "there")); err != nil {
		return err
	}
	other, parts, err := e.upload(ctx, "y", []byte("uploaded"))
	if err != nil {
		return err
	}
	if _, err := e.A.CompleteUpload(ctx, e.key("y"), other, parts, port.Condition{IfAbsent: true}); err != nil {
		return err
	}
	return e.holds(ctx, "y", "uploaded")
}

func uploadAborted(ctx context.Context, e *BlobsEnv) error {
	id, parts, err := e.upload(ctx, "x", []byte("gone"))
	if err != nil {
		return err
	}
	if err := e.B.AbortUpload(ctx, e.key("x"), id); err != nil {
		return err
	}
	_, complete := e.A.CompleteUpload(ctx, e.key("x"), id, parts, port.Condition{})
	_, part := e.A.UploadPart(ctx, e.key("x"), id, 2, []byte("late"))
	return errors.Join(certainly("complete", complete, port.ErrNoBlob), certainly("part", part, port.ErrNoBlob),
		e.A.AbortUpload(ctx, e.key("x"), id), e.absent(ctx, "x"))
}
