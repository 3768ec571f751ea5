package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

const (
	// minioModule is built from source: MinIO publishes no images any more.
	minioModule = "github.com/minio/minio"
	// MinIOVersion is the module's version in the image: the last one of the archived project.
	MinIOVersion = "v0.0.0-20260212201848-7aac2a2c5b7c"
	// minioRecipe is raised when the way in which it is built changes.
	minioRecipe = "1"
)

// S3 makes sure of the image that runs the object store and returns its reference. A public image that Options.S3 names
// is used instead, and pulled when it is not on the engine.
func (b *Builder) S3(ctx context.Context) (string, error) {
	if b.opt.S3 != "" {
		return b.public(ctx, b.opt.S3, "leave the option away: MinIO is then built from its Go module")
	}
	ref, have, err := b.HaveS3(ctx)
	if err != nil || have {
		return ref, err
	}
	unlock, err := b.lockAs(ctx, "minio.lock", "minio/build-*")
	if err != nil {
		return "", err
	}
	defer unlock()
	if ref, have, err = b.HaveS3(ctx); err != nil || have {
		return ref, err
	}
	binary, err := b.minio(ctx)
	if err != nil {
		return "", err
	}
	b.say("building the MinIO image")
	return ref, b.build(ctx, "s3", ref, asset("s3.Dockerfile"), nil, []file{{name: "minio", path: binary, mode: 0o755}})
}

// HaveS3 names the image that S3 returns and tells whether it is there already.
func (b *Builder) HaveS3(ctx context.Context) (ref string, have bool, err error) {
	ref = b.opt.S3
	if ref == "" {
		ref = "ratel-s3:" + fingerprint([]byte(MinIOVersion), []byte(minioRecipe), []byte(b.engine.Arch), asset("s3.Dockerfile"))
	}
	have, err = b.exists(ctx, ref)
	return ref, have, err
}

// minioPath is where the cache keeps MinIO's binary.
func (b *Builder) minioPath() string {
	return filepath.Join(b.cache, "minio", MinIOVersion+"-"+b.engine.Arch+"-"+minioRecipe, "minio")
}

// HaveMinIO tells whether MinIO's binary has been built already.
func (b *Builder) HaveMinIO() bool {
	_, err := os.Stat(b.minioPath())
	return err == nil
}

// minio returns the path of MinIO's static binary, which is built once and then kept in the cache. It gets its final name
// only when it is complete.
func (b *Builder) minio(ctx context.Context) (string, error) {
	final := b.minioPath()
	if b.HaveMinIO() {
		return final, nil
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", &docker.Error{What: "no object store", Why: "MinIO is built from its Go module, and there is no go to build it with",
			Fix: "install Go, or name a public image (--s3-image NAME) where there is a registry"}
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", docker.Explain("make the cache folder", err)
	}
	tmp, err := os.MkdirTemp(filepath.Join(b.cache, "minio"), "build-")
	if err != nil {
		return "", docker.Explain("make a folder to build in", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	b.say("building MinIO %s from its Go module (once, about three minutes on two cores)", MinIOVersion)
	modules, err := exec.CommandContext(ctx, goTool, "env", "GOMODCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its module cache: %w", err)
	}
	cmd := exec.CommandContext(ctx, goTool, "install", "-trimpath", "-ldflags=-s -w", minioModule+"@"+MinIOVersion)
	cmd.Dir = tmp
	// A GOPATH of its own, since go install puts what it builds for another machine nowhere else.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GOBIN=") }),
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.engine.Arch, "GOFLAGS=", "GOWORK=off", "GOPATH="+tmp, "GOMODCACHE="+strings.TrimSpace(string(modules)))
	if text, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &docker.Error{What: "build MinIO " + MinIOVersion, Why: "go install failed", Err: fmt.Errorf("%w\n%s", err, lastLines(string(text), 10)),
			Fix: "check that Go's module proxy can be reached (go env GOPROXY), or name a public image (--s3-image NAME)"}
	}
	out := filepath.Join(tmp, "bin", "minio")
	if runtime.GOOS != "linux" || runtime.GOARCH != b.engine.Arch {
		out = filepath.Join(tmp, "bin", "linux_"+b.engine.Arch, "minio")
	}
	if err := checkBinary(out, b.engine.Arch); err != nil {
		return "", docker.Explain("build MinIO", errors.Join(errors.New("what go install has built does not serve"), err))
	}
	return final, docker.Explain("save MinIO's binary", os.Rename(out, final))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
