// Package images builds the container images of the containers world from packages: a Debian base, Kafka with its
// ZooKeeper from Maven's jars, MySQL from Debian unstable, MinIO from its Go module, and the roles from the one static
// ratel binary.
//
// Every image is tagged with a hash of what goes into it. An image whose tag exists is used as it is, so nothing is
// built twice and nothing stale is used; jars and the base are kept in a cache folder besides.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/docker"
	"github.com/ratel-sim/ratel/system/containers/filelock"
)

//go:embed assets
var assets embed.FS

// Label marks every image built here; its value says which it is (base, kafka, jars, mysql, s3, role).
const Label = "ratel.image"

// Options say where images come from. The zero value decides by what the machine has.
type Options struct {
	// Base is a public Debian 12 image to build on, such as "debian:bookworm-slim", for machines with a registry. When
	// empty, a base of the same content is built with debootstrap.
	Base string
	// MySQL and S3 are public images to use as they are, such as "mysql:9" and "minio/minio", for machines with a registry.
	// When empty, they are built from packages.
	MySQL string
	S3    string
	// Mirror is the Debian package mirror for debootstrap, a URL. When empty, that of this machine's apt settings.
	Mirror string
	// RoleBinary is a static ratel binary for the engine's operating system and architecture. When empty: the running
	// program if it is one, else one built from source with go.
	RoleBinary string
	// CacheDir keeps jars, base and built binaries. When empty: $XDG_CACHE_HOME/ratel, else ~/.cache/ratel.
	CacheDir string
	// Progress is told what takes long, one line at a time. May be nil.
	Progress func(line string)
}

// Builder makes images on one engine. It is safe for concurrent use after New.
type Builder struct {
	engine *docker.Engine
	opt    Options
	cache  string
}

// New checks the cache folder and returns a builder.
func New(engine *docker.Engine, opt Options) (*Builder, error) {
	dir, err := CacheDir(opt.CacheDir)
	if err != nil {
		return nil, err
	}
	return &Builder{engine: engine, opt: opt, cache: dir}, nil
}

// CacheDir returns the folder for what is kept between runs, and makes it. dir overrides the default.
func CacheDir(dir string) (string, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", &docker.Error{What: "no cache folder", Err: err, Fix: "set HOME or XDG_CACHE_HOME"}
		}
		dir = filepath.Join(base, "ratel")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", docker.Explain("make the cache folder "+dir, err)
	}
	return dir, nil
}

func (b *Builder) say(format string, args ...any) {
	if b.opt.Progress != nil {
		b.opt.Progress(fmt.Sprintf(format, args...))
	}
}

// asset returns an embedded file; that it is there is certain at build time.
func asset(name string) []byte {
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err)
	}
	return data
}

// fingerprint folds what goes into an image into a short tag.
func fingerprint(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// lock waits until no other run builds into the same cache, and removes what runs that were killed while they built have
// left there.
func (b *Builder) lock(ctx context.Context) (unlock func(), err error) {
	return b.lockAs(ctx, "build.lock", "debootstrap-*", "jars/partial-*")
}

// lockAs is lock under a name of its own, for what can be built at the same time as other things. leftovers are patterns
// of what an interrupted build leaves.
func (b *Builder) lockAs(ctx context.Context, name string, leftovers ...string) (unlock func(), err error) {
	for told := false; ; told = true {
		l, err := filelock.Try(filepath.Join(b.cache, name))
		if err == nil {
			for _, glob := range leftovers {
				names, _ := filepath.Glob(filepath.Join(b.cache, glob)) // the pattern is sound
				for _, name := range names {
					if err := removeTree(ctx, name); err != nil {
						return nil, errors.Join(docker.Explain("remove an unfinished build", err), l.Release())
					}
				}
			}
			return func() { _ = l.Release() }, nil
		}
		if !errors.Is(err, filelock.ErrHeld) {
			return nil, docker.Explain("wait for another run's build", err)
		}
		if !told {
			b.say("waiting for another run to build the images")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// removeTree removes a folder in which debootstrap may have been interrupted: what it has mounted there is unmounted
// first, since removing through a mount would remove what is mounted.
func removeTree(ctx context.Context, dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	inside := mountsUnder(string(mounts), dir)
	for _, m := range slices.Backward(inside) { // the innermost first
		if err := run(ctx, nil, "umount", m); err != nil {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	return os.RemoveAll(dir)
}

// mountsUnder lists the mount points inside a folder in the order in which they were mounted.
func mountsUnder(mounts, dir string) []string {
	var inside []string
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			inside = append(inside, f[1])
		}
	}
	return inside
}

func (b *Builder) exists(ctx context.Context, ref string) (bool, error) {
	_, err := b.engine.ImageInspect(ctx, ref)
	switch {
	case err == nil:
		return true, nil
	case cerrdefs.IsNotFound(err):
		return false, nil
	}
	return false, docker.Explain("look for image "+ref, err)
}

// file is one entry of a build context: either data or a path on this machine.
type file struct {
	name string
	data []byte
	path string
	mode int64
}

// writeContext streams a build context. Times are fixed, so that the engine's layer cache sees equal content as equal.
func writeContext(w io.Writer, files []file) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		hdr := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		var body io.Reader = bytes.NewReader(f.data)
		if f.path != "" {
			in, err := os.Open(f.path)
			if err != nil {
				return err
			}
			defer in.Close()
			st, err := in.Stat()
			if err != nil {
				return err
			}
			hdr.Size, body = st.Size(), in
		}
		if err := tw.WriteHeader(hdr); err != nil {
			return err
		}
		if _, err := io.Copy(tw, body); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return tw.Close()
}

// build runs a Dockerfile over files and tags the result ref.
func (b *Builder) build(ctx context.Context, kind, ref string, dockerfile []byte, args map[string]string, files []file) error {
	pr, pw := io.Pipe()
	go func() {
		all := append([]file{{name: "Dockerfile", data: dockerfile, mode: 0o644}}, files...)
		pw.CloseWithError(writeContext(pw, all))
	}()
	defer func() { _ = pr.Close() }()
	buildArgs := map[string]*string{}
	for k, v := range args {
		buildArgs[k] = &v
	}
	res, err := b.engine.ImageBuild(ctx, pr, client.ImageBuildOptions{
		Tags: []string{ref}, Remove: true, ForceRemove: true, BuildArgs: buildArgs, Labels: map[string]string{Label: kind},
	})
	if err != nil {
		return docker.Explain("build image "+ref, err)
	}
	defer res.Body.Close()
	return docker.Explain("build image "+ref, readMessages(res.Body))
}

// colours are the terminal's codes in the output of programs that run in a build.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// readMessages reads an engine's progress stream to its end and turns an error in it into one with the output before it.
func readMessages(r io.Reader) error {
	dec := json.NewDecoder(r)
	var tail []string
	for {
		var m struct {
			Stream string `json:"stream"`
			Error  string `json:"error"`
		}
		if err := dec.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("the engine's answer broke off: %w", err)
		}
		if m.Error != "" {
			return fmt.Errorf("%s\n  the last output was:\n    %s", m.Error, strings.Join(tail, "\n    "))
		}
		for line := range strings.Lines(m.Stream) {
			if line = strings.TrimSpace(colours.ReplaceAllString(line, "")); line != "" {
				tail = append(tail, line)
			}
		}
		if len(tail) > 15 {
			tail = tail[len(tail)-15:]
		}
	}
}
