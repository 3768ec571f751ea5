package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// engineAt serves a stand-in for an engine on a socket and returns its address.
func engineAt(t *testing.T, handler http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "unix://" + path
}

func answering(api, os string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		if strings.HasSuffix(r.URL.Path, "/version") {
			_ = json.NewEncoder(w).Encode(map[string]string{"Version": "1.2.3", "ApiVersion": api, "Os": os, "Arch": "amd64"})
		}
	})
	return mux
}

func TestConnectExplainsWhatIsMissing(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as a killed engine leaves it
	_ = l.Close()
	for _, tt := range []struct{ name, host, want, fix string }{
		{"no socket", "unix://" + filepath.Join(t.TempDir(), "none.sock"), "no Docker engine runs here: there is no", ".ci/engine.sh"},
		{"nobody at the socket", "unix://" + dead, "nobody answers on", "systemctl start docker"},
		{"too old", engineAt(t, answering("1.30", "linux")), "it speaks API 1.30, Ratel needs 1.41", "upgrade the engine"},
		{"other containers", engineAt(t, answering("1.41", "windows")), "does not run Linux containers", "switch it"},
		{"bad settings", "nonsense", "cannot use the Docker settings", "DOCKER_HOST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", tt.host)
			_, err := Connect(context.Background())
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(e.Fix, tt.fix) {
				t.Errorf("got %v\nwant %q in it, and %q in what to do", err, tt.want, tt.fix)
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", engineAt(t, answering("1.41", "linux")))
		e, err := Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.API != "1.41" || e.OS != "linux" || e.Arch != "amd64" || e.Server != "1.2.3" {
			t.Errorf("got %+v", e)
		}
	})
}

// deadline is a context whose deadline comes when the test says so.
type deadline struct {
	context.Context
	passed chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.passed }

func (d deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestAnEngineThatHangsIsExplained(t *testing.T) {
	for _, tt := range []struct{ hangs, want string }{
		{"/_ping", "the Docker engine does not answer"},
		{"/networks", "the Docker engine hangs"},
	} {
		t.Run(tt.hangs, func(t *testing.T) {
			ctx := deadline{context.Background(), make(chan struct{})}
			healthy := answering("1.41", "linux")
			t.Setenv("DOCKER_HOST", engineAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, tt.hangs) {
					close(ctx.passed)
					<-r.Context().Done()
					return
				}
				healthy.ServeHTTP(w, r)
			})))
			_, err := Connect(ctx)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(e.Fix, "restart it") {
				t.Errorf("got %v\nwant %q in it, and to restart it", err, tt.want)
			}
		})
	}
}

func TestNoPermissionIsExplained(t *testing.T) {
	t.Parallel()
	// Root may open any socket, so the refusal itself is made here.
	err := explainPing("unix:///var/run/docker.sock", fmt.Errorf("dial: %w", syscall.EACCES))
	if !strings.Contains(err.Error(), "no permission to use the Docker engine") || !strings.Contains(err.Error(), "usermod -aG docker") {
		t.Error(err)
	}
}

func TestExplainKnowsTheEngine(t *testing.T) {
	t.Parallel()
	for msg, want := range map[string]string{
		"write /x: no space left on device":                                                    "is full",
		"driver failed: Bind for 127.0.0.1:20000 failed: port is already allocated":            "in use by another program",
		"Error starting userland proxy: listen tcp4 127.0.0.1:1: bind: address already in use": "in use by another program",
		"could not find an available, non-overlapping IPv4 address pool among the defaults":    "no free subnet",
		"No such image: x": "the image is gone",
	} {
		err := Explain("start node x", errors.New(msg))
		if err == nil || !strings.HasPrefix(err.Error(), "start node x: ") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "to mend it") {
			t.Errorf("%q: got %v, want %q in it and what to do", msg, err, want)
		}
	}
	if Explain("x", nil) != nil {
		t.Error("no error became one")
	}
	inner := &Error{What: "a", Fix: "b"}
	if err := Explain("outer", inner); !errors.Is(err, inner) || strings.Count(err.Error(), "to mend it") != 1 {
		t.Errorf("an explained error was explained again: %v", err)
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		have string
		old  bool
	}{{"1.41", false}, {"1.40", true}, {"1.100", false}, {"2.0", false}, {"1", true}, {"", true}, {"x.y", true}} {
		if got := older(tt.have, "1.41"); got != tt.old {
			t.Errorf("older(%q, 1.41) = %v", tt.have, got)
		}
	}
}
