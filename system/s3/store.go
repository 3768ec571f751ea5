// Package s3 is the Blobs port on a real object store that speaks S3, through the AWS SDK.
//
// What an error says of the outcome is exact: PreconditionFailed and the missing key or upload are certain, throttles
// (503, 429) and connections that were refused are certain not to have had an effect, and whatever else goes wrong once a
// request may have been sent is unknown. The SDK's own retries are off, because they repeat writes whose outcome is
// unknown: a conditional put that took effect would then fail its own condition, and be reported as certain.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ratel-sim/ratel/system/port"
)

// Options say where the object store is. Zero durations and counts stand for the defaults given with them.
type Options struct {
	Endpoint  string // such as http://127.0.0.1:9000
	Region    string // default us-east-1
	Bucket    string
	AccessKey string
	SecretKey string
	// DialTimeout bounds the connecting (default 1 s), AttemptTimeout each attempt with its data (default 10 s).
	DialTimeout, AttemptTimeout time.Duration
	// Connections bounds the connections, busy and idle. Default 32.
	Connections int
	// Attempts of an operation; default 3. Before attempt n+1 it waits up to Backoff * 2^n (default 100 ms).
	Attempts int
	Backoff  time.Duration
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// maxPage is how many objects S3 lists at most at a time.
const maxPage = 1000

// Store is a bucket. It implements [port.Blobs].
type Store struct {
	opts   Options
	client *s3.Client
	http   *http.Client
}

var _ port.Blobs = (*Store)(nil)

// New returns a store. It does not connect.
func New(o Options) (*Store, error) {
	if o.Endpoint == "" || o.Bucket == "" || o.AccessKey == "" || o.SecretKey == "" {
		return nil, fmt.Errorf("s3: endpoint %q, bucket %q, access key %q: expected all of them, and a secret key", o.Endpoint, o.Bucket, o.AccessKey)
	}
	orDefault(&o.Region, "us-east-1")
	orDefault(&o.DialTimeout, time.Second)
	orDefault(&o.AttemptTimeout, 10*time.Second)
	orDefault(&o.Connections, 32)
	orDefault(&o.Attempts, 3)
	orDefault(&o.Backoff, 100*time.Millisecond)
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: o.DialTimeout}).DialContext,
		MaxConnsPerHost:     o.Connections,
		MaxIdleConnsPerHost: o.Connections,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	hc := &http.Client{Transport: transport, Timeout: o.AttemptTimeout}
	return &Store{opts: o, http: hc, client: s3.New(s3.Options{
		BaseEndpoint: aws.String(o.Endpoint),
		Region:       o.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, ""),
		UsePathStyle: true,
		HTTPClient:   hc,
		Retryer:      aws.NopRetryer{},
		// Checksums that S3 does not require are trailers that not every server takes, and TCP and the signature cover
		// the data; segments and manifests carry checksums of their own.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})}, nil
}

// Close closes idle connections.
func (s *Store) Close() { s.http.CloseIdleConnections() }

// do performs one operation over several attempts: throttles and refused connections are tried again, and unknown
// outcomes if the operation only reads.
func (s *Store) do(ctx context.Context, what, key string, reads bool, attempt func(ctx context.Context) error) error {
	fail := func(err error) error { return fmt.Errorf("s3: %s %s: %w", what, key, err) }
	if err := ctx.Err(); err != nil {
		return fail(fmt.Errorf("%w (%w)", err, port.ErrRefused))
	}
	for n := 1; ; n++ {
		err := classify(attempt(ctx))
		if err == nil {
			return nil
		}
		again := errors.Is(err, errNotSent) || errors.Is(err, port.ErrSlowDown) || reads && errors.Is(err, port.ErrUnknown)
		if !again || n == s.opts.Attempts || ctx.Err() != nil {
			return fail(err)
		}
		timer := time.NewTimer(time.Duration(rand.Float64() * float64(s.opts.Backoff<<n)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fail(fmt.Errorf("%w, given up between two attempts after: %w", ctx.Err(), err))
		}
	}
}

// EnsureBucket creates the bucket if it is not there.
func (s *Store) EnsureBucket(ctx context.Context) error {
	return s.do(ctx, "create bucket", s.opts.Bucket, true, func(ctx context.Context) error {
		_, err := s.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.opts.Bucket})
		var owned *types.BucketAlreadyOwnedByYou
		if errors.As(err, &owned) {
			return nil
		}
		return err
	})
}

// conditions are the headers that a condition becomes.
func conditions(c port.Condition) (ifMatch, ifNoneMatch *string) {
	if c.IfMatch != "" {
		ifMatch = &c.IfMatch
	}
	if c.IfAbsent {
		ifNoneMatch = aws.String("*")
	}
	return ifMatch, ifNoneMatch
}

// Put implements [port.Blobs].
func (s *Store) Put(ctx context.Context, key string, data []byte, cond port.Condition) (port.BlobInfo, error) {
	info := port.BlobInfo{Key: key, Size: int64(len(data))}
	err := s.do(ctx, "put", key, false, func(ctx context.Context) error {
		in := &s3.PutObjectInput{Bucket: &s.opts.Bucket, Key: &key, Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data)))}
		in.IfMatch, in.IfNoneMatch = conditions(cond)
		out, err := s.client.PutObject(ctx, in)
		if err == nil {
			info.ETag = aws.ToString(out.ETag)
		}
		return err
	})
	if err != nil {
		return port.BlobInfo{}, err
	}
	return info, nil
}

// Get implements [port.Blobs].
func (s *Store) Get(ctx context.Context, key string) ([]byte, port.BlobInfo, error) {
	return s.get(ctx, key, nil)
}

// GetRange implements [port.Blobs].
func (s *Store) GetRange(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if off < 0 || length <= 0 {
		return nil, fmt.Errorf("s3: get %s: range of %d bytes from %d: expected at least one byte from 0 or later (%w)", key, length, off, port.ErrRefused)
	}
	last := off + length - 1
	if last < off {
		last = 1<<63 - 1
	}
	data, _, err := s.get(ctx, key, aws.String("bytes="+strconv.FormatInt(off, 10)+"-"+strconv.FormatInt(last, 10)))
	if errors.Is(err, errRange) {
		return nil, nil // the object ends before
	}
	return data, err
}

func (s *Store) get(ctx context.Context, key string, part *string) (data []byte, info port.BlobInfo, err error) {
	err = s.do(ctx, "get", key, true, func(ctx context.Context) error {
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.opts.Bucket, Key: &key, Range: part})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		if out.ContentLength == nil || *out.ContentLength < 0 {
			return fmt.Errorf("the answer has no Content-Length")
		}
		data = make([]byte, *out.ContentLength)
		if _, err := io.ReadFull(out.Body, data); err != nil {
			return fmt.Errorf("the object was cut off: %w", err)
		}
		info = port.BlobInfo{Key: key, Size: int64(len(data)), ETag: aws.ToString(out.ETag)}
		return nil
	})
	if err != nil {
		return nil, port.BlobInfo{}, err
	}
	return data, info, nil
}

// Head implements [port.Blobs].
func (s *Store) Head(ctx context.Context, key string) (info port.BlobInfo, err error) {
	err = s.do(ctx, "head", key, true, func(ctx context.Context) error {
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.opts.Bucket, Key: &key})
		if err == nil {
			info = port.BlobInfo{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag)}
		}
		return err
	})
	return info, err
}

// List implements [port.Blobs].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (page []port.BlobInfo, more bool, err error) {
	if limit <= 0 {
		return nil, false, fmt.Errorf("s3: list %s: limit %d: expected at least 1 (%w)", prefix, limit, port.ErrRefused)
	}
	err = s.do(ctx, "list", prefix, true, func(ctx context.Context) error {
		in := &s3.ListObjectsV2Input{Bucket: &s.opts.Bucket, Prefix: &prefix, MaxKeys: aws.Int32(int32(min(limit, maxPage)))}
		if after != "" {
			in.StartAfter = &after
		}
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return err
		}
		page = make([]port.BlobInfo, 0, len(out.Contents))
		for i := range out.Contents {
			o := &out.Contents[i]
			page = append(page, port.BlobInfo{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag)})
		}
		more = aws.ToBool(out.IsTruncated)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return page, more, nil
}

// Delete implements [port.Blobs].
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.do(ctx, "delete", key, false, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.opts.Bucket, Key: &key})
		return err
	})
}
