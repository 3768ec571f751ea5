package images

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/ratel-sim/ratel/system/containers/docker"
)

// KafkaVersion is the broker's version in the image; it is also in the embedded pom.
const KafkaVersion = "3.9.1"

// Kafka makes sure of the image that runs brokers and ZooKeeper nodes and returns its reference.
func (b *Builder) Kafka(ctx context.Context) (string, error) {
	ref, have, err := b.HaveKafka(ctx)
	if err != nil || have {
		return ref, err
	}
	// Two runs that find nothing need not both make it.
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if ref, have, err = b.HaveKafka(ctx); err != nil || have {
		return ref, err
	}
	pom, dockerfile := asset("pom.xml"), asset("kafka.Dockerfile")
	logging, entry := asset("log4j.properties"), asset("server-entry.sh")
	base, err := b.Base(ctx)
	if err != nil {
		return "", err
	}
	jars, err := b.jars(ctx, base, pom)
	if err != nil {
		return "", err
	}
	b.say("building the Kafka %s image", KafkaVersion)
	files := []file{
		{name: "log4j.properties", data: logging, mode: 0o644},
		{name: "server-entry.sh", data: entry, mode: 0o755},
		{name: "class-archive.sh", data: asset("class-archive.sh"), mode: 0o755},
	}
	for _, j := range jars {
		files = append(files, file{name: "libs/" + filepath.Base(j), path: j, mode: 0o644})
	}
	return ref, b.build(ctx, "kafka", ref, dockerfile, map[string]string{"BASE": base}, files)
}

// HaveKafka names the image that Kafka returns and tells whether it is there already.
func (b *Builder) HaveKafka(ctx context.Context) (ref string, have bool, err error) {
	base, _, err := b.baseRef(ctx)
	if err != nil {
		return "", false, err
	}
	ref = "ratel-kafka:" + fingerprint([]byte(base), asset("pom.xml"), asset("kafka.Dockerfile"), asset("log4j.properties"), asset("server-entry.sh"), asset("class-archive.sh"))
	have, err = b.exists(ctx, ref)
	return ref, have, err
}

// jars returns the paths of the servers' jars, resolved by Maven once and kept in the cache. The folder gets its final
// name only when it is complete, so an interrupted download is never taken for one.
func (b *Builder) jars(ctx context.Context, base string, pom []byte) ([]string, error) {
	dir := filepath.Join(b.cache, "jars", fingerprint(pom))
	if jars, err := listJars(dir); err != nil || len(jars) > 0 {
		return jars, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, docker.Explain("make the cache folder", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "partial-")
	if err != nil {
		return nil, docker.Explain("make a folder for the jars", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	libs := filepath.Join(tmp, "libs")
	b.say("fetching Kafka %s with Maven (once, about half a minute)", KafkaVersion)
	if _, lookErr := exec.LookPath("mvn"); lookErr == nil {
		err = b.mavenHere(ctx, tmp, libs, pom)
	} else {
		err = b.mavenInContainer(ctx, base, libs, pom)
	}
	if err != nil {
		return nil, &docker.Error{What: "fetch Kafka's jars", Why: "Maven could not resolve them", Err: err,
			Fix: "check that Maven's repository can be reached (a mirror goes into ~/.m2/settings.xml), then run again"}
	}
	if jars, err := listJars(libs); err != nil || len(jars) == 0 {
		return nil, errors.Join(errors.New("Maven finished but left no jars"), err)
	}
	if err := os.Rename(libs, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		// Another run may have been quicker; then its folder serves.
		if jars, listErr := listJars(dir); listErr == nil && len(jars) > 0 {
			return jars, nil
		}
		return nil, docker.Explain("save the jars", err)
	}
	return listJars(dir)
}

func listJars(dir string) ([]string, error) {
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	slices.Sort(jars)
	return jars, err
}

func (b *Builder) mavenHere(ctx context.Context, dir, libs string, pom []byte) error {
	path := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(path, pom, 0o644); err != nil {
		return err
	}
	return run(ctx, nil, "mvn", "-B", "-q", "-f", path, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+libs)
}

// mavenInContainer runs Maven inside an image and copies the jars out of it.
func (b *Builder) mavenInContainer(ctx context.Context, base, libs string, pom []byte) error {
	dockerfile := asset("jars.Dockerfile")
	ref := "ratel-jars:" + fingerprint([]byte(base), pom, dockerfile)
	if err := b.build(ctx, "jars", ref, dockerfile, map[string]string{"BASE": base}, []file{
		{name: "pom.xml", data: pom, mode: 0o644}, {name: "host-ca.pem", data: hostCertificates(), mode: 0o644}}); err != nil {
		return err
	}
	// The image is only a way to the jars.
	defer func() {
		_, _ = b.engine.ImageRemove(context.WithoutCancel(ctx), ref, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	}()
	made, err := b.engine.ContainerCreate(ctx, client.ContainerCreateOptions{Image: ref})
	if err != nil {
		return err
	}
	defer func() {
		_, _ = b.engine.ContainerRemove(context.WithoutCancel(ctx), made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}()
	res, err := b.engine.CopyFromContainer(ctx, made.ID, client.CopyFromContainerOptions{SourcePath: "/libs"})
	if err != nil {
		return err
	}
	defer res.Content.Close()
	return extractJars(res.Content, libs)
}

// hostCertificates are the authorities that this machine trusts, where it keeps them in one file; else nothing.
func hostCertificates() []byte {
	for _, path := range []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"} {
		if path == "" {
			continue
		}
		if pem, err := os.ReadFile(path); err == nil {
			return pem
		}
	}
	return nil
}

// extractJars writes the jars of a tar flat into dir.
func extractJars(r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Base(hdr.Name)
		if hdr.Typeflag != tar.TypeReg || !strings.HasSuffix(name, ".jar") {
			continue
		}
		out, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		_, err = io.Copy(out, tr)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
