package s3

import (
	"bytes"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ratel-sim/ratel/system/port"
)

// BeginUpload implements [port.Blobs].
func (s *Store) BeginUpload(ctx context.Context, key string) (upload string, err error) {
	err = s.do(ctx, "begin upload of", key, false, func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.opts.Bucket, Key: &key})
		if err == nil {
			upload = aws.ToString(out.UploadId)
		}
		return err
	})
	return upload, err
}

// UploadPart implements [port.Blobs].
func (s *Store) UploadPart(ctx context.Context, key, upload string, number int32, data []byte) (part port.Part, err error) {
	err = s.do(ctx, "upload a part of", key, false, func(ctx context.Context) error {
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.opts.Bucket, Key: &key, UploadId: &upload, PartNumber: &number,
			Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))),
		})
		if err == nil {
			part = port.Part{Number: number, ETag: aws.ToString(out.ETag)}
		}
		return err
	})
	return part, err
}

// CompleteUpload implements [port.Blobs].
func (s *Store) CompleteUpload(ctx context.Context, key, upload string, parts []port.Part, cond port.Condition) (info port.BlobInfo, err error) {
	completed := make([]types.CompletedPart, len(parts))
	for i := range parts {
		completed[i] = types.CompletedPart{PartNumber: aws.Int32(parts[i].Number), ETag: aws.String(parts[i].ETag)}
	}
	err = s.do(ctx, "complete upload of", key, false, func(ctx context.Context) error {
		in := &s3.CompleteMultipartUploadInput{
			Bucket: &s.opts.Bucket, Key: &key, UploadId: &upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: completed},
		}
		in.IfMatch, in.IfNoneMatch = conditions(cond)
		out, err := s.client.CompleteMultipartUpload(ctx, in)
		if err == nil {
			info = port.BlobInfo{Key: key, ETag: aws.ToString(out.ETag)}
		}
		return err
	})
	if err != nil {
		return port.BlobInfo{}, err
	}
	// The answer does not say how large the object has become.
	if head, err := s.Head(ctx, key); err == nil && head.ETag == info.ETag {
		info.Size = head.Size
	}
	return info, nil
}

// AbortUpload implements [port.Blobs].
func (s *Store) AbortUpload(ctx context.Context, key, upload string) error {
	err := s.do(ctx, "abort upload of", key, false, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.opts.Bucket, Key: &key, UploadId: &upload})
		return err
	})
	if errors.Is(err, port.ErrNoBlob) {
		return nil // AWS tells that there is no such upload, MinIO does not
	}
	return err
}
