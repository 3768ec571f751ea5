package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestMirrorsFromApt(t *testing.T) {
	t.Parallel()
	const debian12 = `Debian|bookworm|main|http://mirror/debian/
Debian|bookworm-updates|main|http://mirror/debian/
Debian|bookworm-security|main|http://mirror/debian-security/
Debian|bookworm|contrib|http://mirror/debian/
Debian|bookworm|main|http://mirror/debian/
Other|bookworm|main|http://elsewhere/
`
	for _, tt := range []struct {
		name, list string
		want       []mirror
	}{
		{"the same release", debian12, []mirror{{"http://mirror/debian/", "bookworm"}, {"http://mirror/debian/", "bookworm-updates"}, {"http://mirror/debian-security/", "bookworm-security"}}},
		{"a newer release", "Debian|trixie|main|http://mirror/debian/\nDebian|trixie-security|main|http://mirror/debian-security/\n", []mirror{{"http://mirror/debian/", "bookworm"}}},
		{"only security", "Debian|bookworm-security|main|http://mirror/debian-security/\n", nil},
		{"not Debian", "Ubuntu|noble|main|http://mirror/ubuntu/\n", nil},
		{"nothing", "", nil},
	} {
		if got := parseTargets(tt.list); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBuildOutputEndsWithTheEnginesError(t *testing.T) {
	t.Parallel()
	ok := `{"stream":"Step 1\n"}{"aux":{"ID":"sha256:1"}}{"stream":"done\n"}`
	if err := readMessages(strings.NewReader(ok)); err != nil {
		t.Errorf("a build that went well: %v", err)
	}
	bad := `{"stream":"Step 1\n"}{"stream":"E: Unable to locate package x\n"}{"errorDetail":{"code":100},"error":"exit code 100"}`
	if err := readMessages(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "exit code 100") || !strings.Contains(err.Error(), "Unable to locate package x") {
		t.Errorf("got %v, want the error and the output before it", err)
	}
	if err := readMessages(strings.NewReader(ok + `{"stream":"cut o`)); err == nil {
		t.Error("an answer that broke off was taken for a success")
	}
}

func TestContextIsTheSameForTheSameFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(path, []byte("from disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []file{{name: "a", data: []byte("x"), mode: 0o755}, {name: "libs/b", path: path, mode: 0o644}}
	var one, two bytes.Buffer
	if err := errors.Join(writeContext(&one, files), writeContext(&two, files)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two contexts of the same files differ, so the engine would build anew")
	}
	r := tar.NewReader(&one)
	for _, want := range []string{"a=x", "libs/b=from disk"} {
		hdr, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := hdr.Name + "=" + string(data); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := writeContext(io.Discard, []file{{name: "gone", path: path + "x"}}); err == nil {
		t.Error("a missing file went unnoticed")
	}
}

func TestFingerprintTellsPartsApart(t *testing.T) {
	t.Parallel()
	if fingerprint([]byte("ab"), []byte("c")) == fingerprint([]byte("a"), []byte("bc")) {
		t.Error("the boundary between parts is not part of the fingerprint")
	}
}

func TestOnlyStaticLinuxBinariesForTheEngineServe(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "ratel")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := checkBinary(script, "amd64"); err == nil || !strings.Contains(err.Error(), "not a Linux program") {
		t.Errorf("a script: %v", err)
	}
	if err := checkBinary(script+"x", "amd64"); err == nil {
		t.Error("a missing file was accepted")
	}
	if runtime.GOOS != "linux" {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkBinary(self, "sparc"); err == nil || !strings.Contains(err.Error(), "the engine runs sparc") {
		t.Errorf("another architecture: %v", err)
	}
	if isRatel(self) {
		t.Error("a test binary was taken for ratel")
	}
	if sh, err := filepath.EvalSymlinks("/bin/sh"); err == nil {
		if err := checkBinary(sh, runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "dynamically") {
			t.Errorf("a dynamic program: %v", err)
		}
	}
}

func TestSourceTreeIsKnownByItsModule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"module github.com/ratel-sim/ratel\n\ngo 1.26\n":           true,
		"module example.com/other // github.com/ratel-sim/ratel\n": false,
		"": false,
	} {
		if got := isModule(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if _, err := sourceRoot(); err != nil {
		t.Errorf("from inside the tree: %v", err)
	}
}

func TestJarsAreTakenOutOfATar(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, body := range map[string]string{"libs/a.jar": "A", "libs/readme.txt": "no", "libs/../../evil.jar": "flat"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "libs")
	if err := extractJars(&buf, dir); err != nil {
		t.Fatal(err)
	}
	jars, err := listJars(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "a.jar"), filepath.Join(dir, "evil.jar")}; !slices.Equal(jars, want) {
		t.Errorf("got %v, want %v", jars, want)
	}
}

func TestPomAndVersionAgree(t *testing.T) {
	t.Parallel()
	if !strings.Contains(string(asset("pom.xml")), "<version>"+KafkaVersion+"</version>") {
		t.Errorf("the pom does not ask for Kafka %s", KafkaVersion)
	}
}

func TestMountsInsideAFolderAreFound(t *testing.T) {
	t.Parallel()
	mounts := "proc /proc proc rw 0 0\nproc /c/debootstrap-1/tree/proc proc rw 0 0\nx /c/debootstrap-1/tree/proc/sys x rw 0 0\ny /c/debootstrap-12/tree y rw 0 0\n"
	if got, want := mountsUnder(mounts, "/c/debootstrap-1"), []string{"/c/debootstrap-1/tree/proc", "/c/debootstrap-1/tree/proc/sys"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOneBuildAtATimeAndNoLeftovers(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	if err := os.MkdirAll(filepath.Join(cache, "debootstrap-123", "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	b := &Builder{cache: cache, opt: Options{Progress: func(line string) { said <- line }}}
	unlock, err := b.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache, "debootstrap-123")); !os.IsNotExist(err) {
		t.Errorf("an unfinished build was not removed (%v)", err)
	}
	second := make(chan error, 1)
	go func() {
		unlock, err := b.lock(t.Context())
		if err == nil {
			unlock()
		}
		second <- err
	}()
	<-said // it waits, and says so
	select {
	case err := <-second:
		t.Errorf("two builds at a time (%v)", err)
	default:
	}
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestServersAreBuiltUnlessAPublicImageIsNamed(t *testing.T) {
	t.Parallel()
	for _, f := range []string{"mysql.Dockerfile", "mysql-entry.sh", "mysql-init.sql", "s3.Dockerfile"} {
		if len(asset(f)) == 0 {
			t.Errorf("%s is empty", f)
		}
	}
	for _, want := range []string{"CREATE DATABASE " + MySQLDatabase + " ", "'" + MySQLUser + "'@'%' IDENTIFIED BY '" + MySQLPassword + "'"} {
		if !strings.Contains(string(asset("mysql-init.sql")), want) {
			t.Errorf("the database that is made at build time lacks %q", want)
		}
	}
	if !strings.Contains(string(asset("mysql.Dockerfile")), "--datadir="+MySQLData) {
		t.Errorf("the image's data directory is not %s", MySQLData)
	}
	if got := lastLines("a\nb\nc\n", 2); got != "b\nc" {
		t.Errorf("the last lines are %q", got)
	}
}
