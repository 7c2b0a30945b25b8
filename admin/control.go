package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
)

// Public is /healthz, /readyz and /metrics: read-only, for any interface.
func Public(w Worker, metrics http.Handler) http.Handler {
	return public(w, metrics)
}

func public(w Worker, metrics http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz(NewPulse(w)))
	mux.HandleFunc("GET /readyz", readyz(w))
	mux.Handle("GET /metrics", metrics)
	return mux
}

// Control is Public with detail and changes. An empty token is for a listener on
// loopback: then only requests that name a loopback host are answered, so that a
// web page cannot reach it under a name of its own. Requests of foreign web
// pages change nothing either way.
func Control(w Worker, metrics http.Handler, token string) http.Handler {
	mux := public(w, metrics)
	mux.HandleFunc("GET /status", status(w))
	mux.HandleFunc("POST /reload", reload(w))
	mux.HandleFunc("POST /pause", pause(w))
	mux.HandleFunc("POST /resume", resume(w))
	mux.HandleFunc("POST /tap", tap(w)) // POST: no web page may open taps
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	h := http.NewCrossOriginProtection().Handler(mux)
	if token == "" {
		return loopbackOnly(h)
	}
	return withToken(h, token)
}

func status(w Worker) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		s := *w.Status()
		s.Sources, s.Strands = list(s.Sources), list(s.Strands)
		s.Flushers, s.Lanes, s.Pools = list(s.Flushers), list(s.Lanes), list(s.Pools)
		answerJSON(rw, &s)
	}
}

// list makes an absent list an empty one: scripts that walk over null fail.
func list[T any](ts []T) []T {
	if ts == nil {
		return []T{}
	}
	return ts
}

func answerJSON(rw http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		answer(rw, http.StatusInternalServerError, "couldn't encode the answer: "+err.Error())
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	_, _ = rw.Write(append(body, '\n')) // who asked has gone: nobody is left to tell
}

// withToken compares hashes, so that the time taken says nothing about the
// token, its length included.
func withToken(next http.Handler, token string) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !ok {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="flushline"`)
			answer(rw, http.StatusUnauthorized, "send the token of admin.token as `Authorization: Bearer TOKEN`")
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			answer(rw, http.StatusForbidden, "this listener answers to loopback names only; set admin.token to use it under another name")
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
