package loadgen

import (
	"fmt"
	"strings"
	"sync"

	"github.com/ratel-sim/ratel/system/event"
)

const (
	wideServices    = 8
	hostsPerService = 16
	customers       = 2000
	clientIPs       = 4096
	entryService    = 0 // where traces begin
	healthRoute     = 3
)

// serviceSkew says how often each service is heard of.
var serviceSkew = skewOf(22, 12, 10, 8, 5, 3, 2, 2)

// routeSkew says how often each route of a service is used; the last is its health check.
var routeSkew = [8]uint8{0, 0, 0, 0, 1, 1, 2, healthRoute}

// takesOrders are the services whose events have an order.
var takesOrders = [wideServices]bool{1: true, 2: true, 4: true, 5: true}

// statusCodes says how often each status is answered: 2.3 % are errors.
var statusCodes = func() (codes [256]int64) {
	i := 0
	for _, c := range []struct {
		code int64
		n    int
	}{{500, 3}, {503, 2}, {504, 1}, {404, 5}, {400, 3}, {429, 1}, {401, 2}, {302, 6}, {304, 10}, {201, 10}, {204, 8}, {200, 205}} {
		for range c.n {
			codes[i] = c.code
			i++
		}
	}
	return codes
}()

// skewOf repeats index i as often as the i-th count says; the counts fill the array.
func skewOf(counts ...int) (out [64]uint8) {
	i := 0
	for index, n := range counts {
		for range n {
			out[i] = uint8(index)
			i++
		}
	}
	return out
}

// planOf is a customer's plan: the frequent ones pay.
func planOf(customer int) int {
	switch {
	case customer < 20:
		return 2
	case customer < 400:
		return 1
	}
	return 0
}

// wideTables are the columns of wide events and the values that are made in advance.
type wideTables struct {
	services          []choice
	routes, methods   [wideServices][]choice
	reads             [wideServices][]bool
	statuses, zones   []choice
	hosts             [wideServices][]choice
	versions          []choice
	customers, plans  []choice
	clients           []choice
	countries, agents []choice
	cacheHits, flags  []choice
	databases         []choice
	failed            choice
	messages          []choice

	duration, cpu, memory, user, request, requestBytes, responseBytes named
	dbRows, dbDuration, queueWait, retries, order, payload            named
	traceID, spanID, parentID                                         named
}

// tablesOfWide are made when they are first needed, and never change.
var tablesOfWide = sync.OnceValue(newWideTables)

func newWideTables() *wideTables {
	t := &wideTables{
		duration: newNamed(FieldDuration), cpu: newNamed("process.cpu_percent"), memory: newNamed("process.memory_mb"),
		user: newNamed("user.id"), request: newNamed("request.id"),
		requestBytes: newNamed("http.request_bytes"), responseBytes: newNamed("http.response_bytes"),
		dbRows: newNamed("db.rows"), dbDuration: newNamed("db.duration_ms"), queueWait: newNamed("queue.wait_ms"),
		retries: newNamed("retry.count"), order: newNamed("order.id"), payload: newNamed("payload"),
		traceID: newNamed("trace.trace_id"), spanID: newNamed("trace.span_id"), parentID: newNamed("trace.parent_id"),
	}
	names := [wideServices]string{"frontend", "checkout", "cart", "catalog", "payment", "shipping", "search", "login"}
	routes := [wideServices][]string{
		{"GET /", "GET /item/{id}", "GET /account"},
		{"POST /order", "GET /order/{id}", "DELETE /order/{id}"},
		{"POST /cart", "GET /cart", "DELETE /cart/{item}"},
		{"GET /catalog", "GET /catalog/{id}", "PUT /catalog/{id}"},
		{"POST /charge", "GET /charge/{id}", "POST /refund"},
		{"POST /label", "GET /label/{id}", "GET /quote"},
		{"GET /search", "GET /suggest", "POST /index"},
		{"POST /session", "GET /session", "PUT /user/{id}"},
	}
	route, method, host := newNamed(FieldRoute), newNamed("http.method"), newNamed("host.name")
	t.services = texts(newNamed(FieldService), names[:]...)
	for s, list := range routes {
		list = append(list, "GET /health")
		t.routes[s] = texts(route, list...)
		for _, r := range list {
			verb, _, _ := strings.Cut(r, " ")
			t.methods[s] = append(t.methods[s], texts(method, verb)...)
			t.reads[s] = append(t.reads[s], verb == "GET")
		}
		for i := range hostsPerService {
			t.hosts[s] = append(t.hosts[s], texts(host, fmt.Sprintf("%s-%02x%02x", names[s], 17*s+3, i))...)
		}
	}
	status := newNamed(FieldStatus)
	for _, code := range statusCodes {
		t.statuses = append(t.statuses, choices(status, event.IntValue(code))...)
	}
	t.zones = texts(newNamed("cloud.availability_zone"), "zone-a", "zone-b", "zone-c")
	t.versions = texts(newNamed("deployment.version"), "v2.14.3", "v2.15.0", "v2.15.1", "v2.16.0-rc1", "v2.16.0")
	t.plans = texts(newNamed("customer.plan"), "free", "team", "enterprise")
	t.customers = numbered(newNamed("customer.id"), customers, func(i int) string { return fmt.Sprintf("c-%05d", i) })
	t.clients = numbered(newNamed("client.ip"), clientIPs, func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>8, i&255, 1+i%250) })
	t.countries = texts(newNamed("client.country"), "US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "AU", "NL", "ES", "IT",
		"SE", "PL", "MX", "KR", "CH", "AT", "BE", "DK", "NO", "FI", "PT", "NZ")
	t.agents = texts(newNamed("http.user_agent"), "Mozilla/5.0 (Macintosh) Safari/605.1", "Mozilla/5.0 (Windows NT 10.0) Chrome/131.0",
		"Mozilla/5.0 (iPhone) Mobile/15E148", "Mozilla/5.0 (Linux; Android 14) Chrome/130.0", "Mozilla/5.0 (X11; Linux) Firefox/132.0",
		"okhttp/4.12.0", "curl/8.10.1", "Go-http-client/2.0")
	hit := newNamed("cache.hit")
	t.cacheHits = choices(hit, event.BoolValue(false), event.BoolValue(true))
	t.flags = choices(newNamed("feature.new_checkout"), event.BoolValue(false), event.BoolValue(true))
	t.databases = texts(newNamed("db.system"), "mysql", "mysql", "redis", "elasticsearch")
	t.failed = choices(newNamed("error"), event.BoolValue(true))[0]
	t.messages = texts(newNamed("error.message"), "connection refused", "context deadline exceeded", "upstream answered 503",
		"deadlock found when trying to get lock; try restarting transaction", "too many open files",
		"unexpected end of JSON input", "no healthy upstream", "card declined: issuer unavailable")
	return t
}

// numbered makes n text choices.
func numbered(name named, n int, text func(i int) string) []choice {
	all := make([]string, n)
	for i := range all {
		all[i] = text(i)
	}
	return texts(name, all...)
}
