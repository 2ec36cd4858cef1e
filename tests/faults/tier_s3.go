package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

const (
	gateway, gatewayVersion   = "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"
	s3Bucket, s3Key, s3Secret = "store", "faults", "faults-secret"

	// s3Outage is how long S3 is away at most: longer than a reader of the node waits for it.
	s3Outage = 8 * time.Second
	// uploadWait is how long an upload may take to begin: shards are looked at every 10 seconds.
	uploadWait = time.Minute
)

// bucket is a server of S3 that keeps what it has across restarts.
type bucket struct {
	binary, dir, address string
	process              *process.Process
	client               *s3.Client
}

// newBucket starts the Versity S3 Gateway over a directory.
func newBucket(ctx context.Context, r *rig) (*bucket, error) {
	binary, err := kit.GoInstall(ctx, gateway, gatewayVersion)
	if err != nil {
		return nil, err
	}
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		return nil, err
	}
	b := &bucket{binary: binary, dir: filepath.Join(r.dir, "s3"), address: addresses[0]}
	for _, dir := range []string{filepath.Join(b.objects(), s3Bucket), b.sidecar()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	b.client = s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + b.address), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s3Key, s3Secret, ""),
	})
	return b, b.start(ctx)
}

func (b *bucket) objects() string { return filepath.Join(b.dir, "objects") }
func (b *bucket) sidecar() string { return filepath.Join(b.dir, "sidecar") }

// place is where objects are, for --tier.
func (b *bucket) place() string {
	return fmt.Sprintf("s3://%s:%s@%s/node?endpoint=http://%s", s3Key, s3Secret, s3Bucket, b.address)
}

func (b *bucket) start(ctx context.Context) error {
	p, err := process.Start(process.Command{
		Name: "S3", Path: b.binary, Log: filepath.Join(b.dir, "s3.log"),
		Args: []string{"--port", b.address, "--access", s3Key, "--secret", s3Secret, "--quiet", "posix", "--sidecar", b.sidecar(), b.objects()},
	})
	if err != nil {
		return err
	}
	b.process = p
	return p.WaitTCP(ctx, b.address)
}

// uploads returns how many multipart uploads have begun and not ended.
func (b *bucket) uploads(ctx context.Context) (int, error) {
	out, err := b.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(s3Bucket)})
	if err != nil {
		return 0, err
	}
	return len(out.Uploads), nil
}

// tierInS3 has S3 below a tier, and kills the node and S3 in turn while segments are uploaded and read. Whatever was acknowledged is read back each time.
func tierInS3(ctx context.Context, r *rig) (err error) {
	b, err := newBucket(ctx, r)
	if err != nil {
		return err
	}
	defer func() { b.process.Kill() }()
	node, err := r.node(ctx, "--tier", b.place(), "--tier-cache", "8MiB")
	if err != nil {
		return err
	}
	t, err := newTieredTopic(ctx, r, node)
	if err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer func() {
		stop()
		work.Wait()
	}()
	work.Go(func() { t.fail(t.writeOn(writing)) })
	work.Go(func() { t.readOn(writing) })
	inUpload, took := 0, times{}
	for n := range r.times {
		amid, err := amidUpload(ctx, r, b)
		if err != nil {
			return err
		}
		if amid {
			inUpload++
		}
		switch n % 2 {
		case 0:
			node.Kill()
			_, err = node.Start(ctx)
		default:
			b.process.Kill()
			wait(ctx, time.Duration(r.random.Int64N(int64(s3Outage))))
			err = b.start(ctx)
		}
		if err != nil {
			return err
		}
		began := time.Now()
		if _, err := t.read(ctx); err != nil {
			return fmt.Errorf("kill %d: %w", n, err)
		}
		took.add(time.Since(began))
	}
	stop()
	work.Wait()
	if t.wrong != nil {
		return t.wrong
	}
	return t.endInS3(ctx, r, inUpload, &took)
}

// amidUpload returns soon after an upload has begun, and whether one is under way then.
func amidUpload(ctx context.Context, r *rig, b *bucket) (bool, error) {
	err := until(ctx, uploadWait, "an upload begins", func() (bool, error) {
		n, err := b.uploads(ctx)
		return n > 0, err
	})
	if err != nil {
		return false, err
	}
	wait(ctx, time.Duration(r.random.IntN(50))*time.Millisecond)
	n, err := b.uploads(ctx)
	return n > 0, err
}

// endInS3 looks at what is left when all is copied.
func (t *tieredTopic) endInS3(ctx context.Context, r *rig, inUpload int, took *times) error {
	if err := t.settled(ctx); err != nil {
		return err
	}
	objects, err := figure(ctx, t.node, "freshet_tier_bytes")
	if err != nil {
		return err
	}
	t.node.Kill()
	if _, err := t.node.Start(ctx); err != nil {
		return err
	}
	read, err := t.read(ctx)
	say("%d kills of node and S3 in turn, %d of them within an upload: %d records were sent, %d are there, %d MiB in objects; all read back %s", r.times, inUpload,
		t.sent, read, objects>>20, took.text())
	if objects == 0 {
		err = errors.Join(err, errors.New("nothing is in objects"))
	}
	return err
}

// writeOn writes at some 8 MiB a second until ctx ends.
func (t *tieredTopic) writeOn(ctx context.Context) error {
	client, err := t.producer()
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		if err := t.write(context.WithoutCancel(ctx), client, 64); err != nil {
			return err
		}
		wait(ctx, 100*time.Millisecond)
	}
	return nil
}

// readOn reads from the beginning again and again until ctx ends, so that node and S3 are killed while segments are read.
func (t *tieredTopic) readOn(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := t.read(ctx); ctx.Err() == nil {
			t.fail(err)
		}
	}
}
