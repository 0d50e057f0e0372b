package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// S3Config says how an S3 service is reached. Empty fields leave the choice to the
// default chain of the AWS SDK (environment, shared files, roles).
type S3Config struct {
	Endpoint  string // URL of a service that is not AWS, also of AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL; its buckets are addressed by path
	Region    string
	PathStyle bool
	AccessKey string // static credentials, for tests and services without roles
	SecretKey string

	CABundle []byte // PEM: certificates to trust besides the system's
	SSE      string // server-side encryption of new files: "", "AES256", "aws:kms"
	KMSKey   string // key id of aws:kms, "" is the bucket's

	Attempts  int               // of one call, 0 is 6
	Transport http.RoundTripper // tests only
}

// S3 is the files of S3 buckets, s3://bucket/key.
type S3 struct {
	client   *s3.Client
	sse      types.ServerSideEncryption
	key      *string
	attempts int
}

const (
	partSize  = 8 << 20
	callLimit = 2 * time.Minute // one call with its retries; a part is 8 MiB
)

// NewS3 makes a store of an S3 service. It sends nothing.
func NewS3(ctx context.Context, c S3Config) (*S3, error) {
	attempts := c.Attempts
	if attempts == 0 {
		attempts = 6
	}
	opts := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			// The token bucket is the budget: it empties when most calls fail, and fills with successes.
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = attempts
				o.MaxBackoff = 5 * time.Second
			})
		}),
		// Ranges of an object come with the checksum of the whole; some services send it anyway.
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if c.Region != "" {
		opts = append(opts, config.WithRegion(c.Region))
	}
	if c.AccessKey != "" {
		opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")))
	}
	if len(c.CABundle) > 0 {
		opts = append(opts, config.WithCustomCABundle(bytes.NewReader(c.CABundle)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, err
	}
	s := &S3{sse: types.ServerSideEncryption(c.SSE), attempts: attempts}
	if c.SSE != "" && !slices.Contains(s.sse.Values(), s.sse) {
		return nil, fmt.Errorf("server-side encryption %q: known are %v", c.SSE, s.sse.Values())
	}
	if c.KMSKey != "" {
		s.key = &c.KMSKey
	}
	noRegion := false
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.UsePathStyle = c.PathStyle || o.BaseEndpoint != nil // that the environment may have named, too
		if o.Region == "" && o.BaseEndpoint != nil {
			o.Region = "us-east-1"
		}
		noRegion = o.Region == ""
		if c.Transport != nil {
			o.HTTPClient = &http.Client{Transport: c.Transport}
		}
	})
	if noRegion {
		return nil, errors.New("no region of the S3 buckets is known: set AWS_REGION, or region under s3 of the lake")
	}
	return s, nil
}

// failed names the file of an error and tells absence from other errors.
func failed(op, uri string, err error) error {
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) && status.HTTPStatusCode() == http.StatusNotFound {
		return fmt.Errorf("%s %s: %w: %w", op, uri, ErrNotExist, err)
	}
	return fmt.Errorf("%s %s: %w", op, uri, err)
}

// Create implements Store. Files up to 8 MiB are one call, larger ones a multipart upload;
// at most 8 MiB are in memory.
func (s *S3) Create(ctx context.Context, uri string) (Writer, error) {
	bucket, key, err := split(uri, "s3")
	if err != nil {
		return nil, err
	}
	return &s3Writer{ctx: ctx, s: s, uri: uri, bucket: bucket, key: key}, nil
}

type s3Writer struct {
	ctx              context.Context //nolint:containedctx // the writer is one call that lasts from Create to Close
	s                *S3
	uri, bucket, key string
	buf              []byte
	size             int64
	upload           *string
	parts            []types.CompletedPart
	err              error
	done             bool
}

func (w *s3Writer) Write(p []byte) (int, error) {
	n := 0
	for w.err == nil && len(p) > 0 {
		k := min(len(p), partSize-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(w.buf) == partSize {
			w.err = w.part()
		}
	}
	w.size += int64(n)
	return n, w.err
}

func (w *s3Writer) part() error {
	ctx, cancel := context.WithTimeout(w.ctx, callLimit)
	defer cancel()
	if w.upload == nil {
		out, err := w.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &w.bucket, Key: &w.key, ServerSideEncryption: w.s.sse, SSEKMSKeyId: w.s.key,
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc32}) // said here, or the parts' sums are refused at the end
		if err != nil {
			return failed("start upload of", w.uri, err)
		}
		w.upload = out.UploadId
	}
	n := int32(len(w.parts) + 1)
	out, err := w.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &w.bucket, Key: &w.key, UploadId: w.upload, PartNumber: &n, Body: bytes.NewReader(w.buf),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		return failed("upload part of", w.uri, err)
	}
	w.parts = append(w.parts, types.CompletedPart{
		PartNumber: &n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	w.buf = w.buf[:0]
	return nil
}

func (w *s3Writer) Close() error {
	if w.done {
		return w.err
	}
	if w.err == nil && w.upload != nil && len(w.buf) > 0 {
		w.err = w.part()
	}
	if w.err != nil {
		err := w.err
		w.Abort()
		return err
	}
	w.done = true
	ctx, cancel := context.WithTimeout(w.ctx, callLimit)
	defer cancel()
	var err error
	if w.upload == nil {
		_, err = w.s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &w.bucket, Key: &w.key, Body: bytes.NewReader(w.buf), ServerSideEncryption: w.s.sse, SSEKMSKeyId: w.s.key})
	} else {
		_, err = w.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &w.bucket, Key: &w.key, UploadId: w.upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: w.parts}})
	}
	w.buf = nil
	if err == nil {
		return nil
	}
	// The answer may be lost and the file there: names are used once, so size tells.
	if info, serr := w.s.Stat(ctx, w.uri); serr == nil && info.Size == w.size {
		return nil
	}
	w.err = failed("write", w.uri, err)
	return w.err
}

func (w *s3Writer) Abort() {
	if w.done {
		return
	}
	w.done, w.buf = true, nil
	if w.err == nil {
		w.err = errors.New("given up")
	}
	if w.upload == nil {
		return
	}
	// Also after the caller's time is up; what is left then, the bucket's lifecycle rule removes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
	defer cancel()
	_, _ = w.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &w.bucket, Key: &w.key, UploadId: w.upload})
}

// ReadAt implements Store. A body that breaks off is asked for again from there.
func (s *S3) ReadAt(ctx context.Context, uri string, p []byte, off int64) (int, error) {
	bucket, key, err := split(uri, "s3")
	if err != nil || len(p) == 0 {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	n := 0
	for range s.attempts {
		k, err := s.readOnce(ctx, uri, bucket, key, p[n:], off+int64(n))
		n += k
		if n == len(p) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, fmt.Errorf("read %s: %d of %d bytes at %d: %w", uri, n, len(p), off, io.ErrUnexpectedEOF)
}

func (s *S3) readOnce(ctx context.Context, uri, bucket, key string, p []byte, off int64) (int, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))})
	if err != nil {
		var status interface{ HTTPStatusCode() int }
		if errors.As(err, &status) && status.HTTPStatusCode() == http.StatusRequestedRangeNotSatisfiable {
			return 0, fmt.Errorf("read %s at %d: %w: %w", uri, off, io.ErrUnexpectedEOF, err)
		}
		return 0, failed("read", uri, err)
	}
	defer func() { _ = out.Body.Close() }()
	n, err := io.ReadFull(out.Body, p)
	if err != nil && out.ContentLength != nil && *out.ContentLength < int64(len(p)) && int64(n) == *out.ContentLength {
		return n, fmt.Errorf("read %s: %d of %d bytes at %d: %w", uri, n, len(p), off, io.ErrUnexpectedEOF)
	}
	if ctx.Err() != nil {
		return n, ctx.Err()
	}
	return n, nil // broken off: the caller goes on from here
}

// Keeps implements Keeper.
func (s *S3) Keeps(ctx context.Context, uri string) (bool, error) {
	bucket, key, err := split(uri, "s3")
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err = s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(nil), IfNoneMatch: aws.String("*"), ServerSideEncryption: s.sse, SSEKMSKeyId: s.key})
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) && (status.HTTPStatusCode() == http.StatusPreconditionFailed || status.HTTPStatusCode() == http.StatusConflict) {
		return true, nil
	}
	if err != nil {
		return false, failed("write", uri, err)
	}
	return false, nil
}

// Unfinished implements Leftovers: uploads in parts.
func (s *S3) Unfinished(ctx context.Context, prefix string) ([]Info, error) {
	bucket, key, err := split(prefix, "s3")
	if err != nil {
		return nil, err
	}
	var out []Info
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, failed("list uploads of", prefix, err)
		}
		for _, u := range page.Uploads {
			out = append(out, Info{URI: "s3://" + bucket + "/" + aws.ToString(u.Key), Modified: aws.ToTime(u.Initiated)})
		}
	}
	return out, nil
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, uri string) (Info, error) {
	bucket, key, err := split(uri, "s3")
	if err != nil {
		return Info{}, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return Info{}, failed("look at", uri, err)
	}
	return Info{URI: uri, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		bucket, key, err := split(prefix, "s3")
		if err != nil {
			yield(Info{}, err)
			return
		}
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Info{}, failed("list", prefix, err))
				return
			}
			for i := range page.Contents {
				o := &page.Contents[i]
				if !yield(Info{URI: "s3://" + bucket + "/" + aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, uri string) error {
	bucket, key, err := split(uri, "s3")
	if err != nil {
		return err
	}
	if _, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		if err = failed("delete", uri, err); errors.Is(err, ErrNotExist) {
			return nil
		}
		return err
	}
	return nil
}
