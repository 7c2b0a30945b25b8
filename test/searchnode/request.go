package searchnode

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// within is how long one request may take on a busy machine.
const within = time.Minute

// newClient makes the client of this package's own requests.
func (n *Node) newClient() (*http.Client, error) {
	t := &http.Transport{}
	if n.options.TLS {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		ca, err := os.ReadFile(n.certs.CA)
		if err != nil {
			return nil, fmt.Errorf("couldn't read the authority: %w", err)
		}
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("couldn't use the authority: it is no certificate in PEM")
		}
	}
	return &http.Client{Transport: t}, nil
}

// Do sends one request. A body of several lines that ends with one is newline-delimited JSON, any other is JSON.
func (n *Node) Do(ctx context.Context, method, path, body string) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.URL()+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't make a request: %w", err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.HasSuffix(body, "\n") {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	if n.options.Authorization != "" {
		req.Header.Set("Authorization", n.options.Authorization)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't ask %s: %w", n, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't read what %s answers: %w", n, err)
	}
	return resp.StatusCode, answer, nil
}

// Must sends one request that has to succeed, and returns its answer.
func (n *Node) Must(tb TB, method, path, body string) []byte {
	tb.Helper()
	status, answer, err := n.Do(context.WithoutCancel(tb.Context()), method, path, body)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	if status < 200 || status > 299 {
		tb.Fatalf("%s %s: %s answered %d %s", method, path, n, status, answer)
	}
	return answer
}

// Hit is one document that is stored.
type Hit struct {
	Index  string          `json:"_index"`
	ID     string          `json:"_id"`
	Source json.RawMessage `json:"_source"`
}

// Hits are all documents of an index, a pattern of indices or a data stream, as they
// are now. There are none where there is no such index.
func (n *Node) Hits(ctx context.Context, index string) ([]Hit, error) {
	status, answer, err := n.Do(ctx, http.MethodPost, "/"+index+"/_refresh?ignore_unavailable=true", "")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("couldn't refresh %s: status %d: %s", index, status, answer)
	}
	var hits []Hit
	path, body := "/"+index+"/_search?scroll=1m&ignore_unavailable=true", `{"size":5000,"sort":["_doc"]}`
	for {
		status, answer, err := n.Do(ctx, http.MethodPost, path, body)
		if err != nil {
			return nil, err
		}
		var page struct {
			Scroll string `json:"_scroll_id"`
			Shards struct {
				Failed int `json:"failed"`
			} `json:"_shards"`
			Hits struct {
				Hits []Hit `json:"hits"`
			} `json:"hits"`
		}
		if err := json.Unmarshal(answer, &page); err != nil || status != http.StatusOK || page.Shards.Failed > 0 {
			return nil, fmt.Errorf("couldn't read %s: status %d: %s (%w)", index, status, bytes.TrimSpace(answer), err)
		}
		if len(page.Hits.Hits) == 0 {
			return hits, n.forget(ctx, page.Scroll)
		}
		hits = append(hits, page.Hits.Hits...)
		path, body = "/_search/scroll", fmt.Sprintf(`{"scroll":"1m","scroll_id":%q}`, page.Scroll)
	}
}

// forget ends a search: a node keeps a few hundred open.
func (n *Node) forget(ctx context.Context, scroll string) error {
	if scroll == "" {
		return nil
	}
	status, answer, err := n.Do(ctx, http.MethodDelete, "/_search/scroll", fmt.Sprintf(`{"scroll_id":%q}`, scroll))
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = fmt.Errorf("couldn't end a search: status %d: %s", status, answer)
	}
	return err
}
