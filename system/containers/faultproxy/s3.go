package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// slowDown is the answer of a refused request, as S3 gives it when it is overloaded.
const slowDown = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><Resource>/</Resource><RequestId>ratel</RequestId></Error>
`

// errCut marks an answer that is withheld.
var errCut = errors.New("the answer is withheld")

// newS3 returns a reverse proxy for an object store. Headers are passed as they are: they are signed.
func newS3(target string, d *dice) http.Handler {
	base := &url.URL{Scheme: "http", Host: target}
	type fateKey struct{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.Out.Host = r.In.Host
			if r.In.Header.Get("User-Agent") == "" {
				r.Out.Header.Set("User-Agent", "") // keep Go from adding one
			}
		},
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
			Proxy:       nil, DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
		},
		ModifyResponse: func(res *http.Response) error {
			if f, _ := res.Request.Context().Value(fateKey{}).(fate); !f.cut {
				return nil
			}
			// The answer has come, so the server has done it.
			_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
			d.cut()
			return errCut
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var op *net.OpError
			if !errors.Is(err, errCut) && errors.As(err, &op) && op.Op == "dial" {
				// Nobody is behind: certain for the client, as a load balancer without targets says it.
				refuseS3(w)
				return
			}
			panic(http.ErrAbortHandler) // cut the connection without an answer
		},
		ErrorLog: quiet(),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := d.roll()
		if !hold(r.Context(), f.delay) {
			panic(http.ErrAbortHandler)
		}
		if f.refuse {
			d.refused()
			refuseS3(w)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), fateKey{}, f)))
	})
}

func refuseS3(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Connection", "close") // the request's body may not have been read
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, slowDown)
}
