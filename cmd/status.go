package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

type statusOptions struct {
	scope
	blocked bool // only what stands: what `flushline why` shows
	asJSON  bool
	watch   bool
}

func newStatus(p *program) *cobra.Command {
	var o statusOptions
	var a adminOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running worker does, what does not move, and why",
		Long: `Asks a running worker for one snapshot: its strands, the lanes that are blocked
with reason and next try, what was received and what became of it. Many strands are
counted by state, and those that are not fetched are shown. A token goes into
FLUSHLINE_ADMIN_TOKEN, or comes from the configuration.

With --blocked it says what stands, what holds it up and what would free it: that is
` + "`flushline why`" + `.

Exit codes: 0 shown; 64 usage or configuration; 69 no worker answered.`,
		Example: `  flushline status
  flushline status --watch --blocked
  flushline status --json | jq '.lanes[] | select(.state != "flushing")'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return p.status(ctx, &a, o)
		},
	}
	a.flags(p, c)
	c.Flags().BoolVar(&o.asJSON, "json", false, "print the worker's JSON as it is; with --blocked that of flushline why")
	c.Flags().BoolVar(&o.strands, "strands", false, "list every strand with its positions, however many there are; with --blocked all that the snapshot names")
	c.Flags().BoolVar(&o.blocked, "blocked", false, "show only what does not move, why, and what would free it")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "ask again every two seconds, until interrupted")
	return c
}

func (p *program) status(ctx context.Context, a *adminOptions, o statusOptions) error {
	target, err := a.open(p)
	if err != nil {
		return err
	}
	k := &asker{target: target, o: o}
	if o.watch {
		return p.watch(ctx, k.frame)
	}
	text, err := k.frame(ctx)
	if err != nil {
		return err
	}
	if _, err := p.stdout.Write(text); err != nil {
		return fmt.Errorf("couldn't print: %w", err)
	}
	return nil
}

// adminOptions say where a worker's admin listener is: --admin, else the
// configuration's, else the default.
type adminOptions struct {
	config  string
	address string
	token   string
}

const defaultAdmin = "127.0.0.1:8480"

func (a *adminOptions) flags(p *program, c *cobra.Command) {
	configFlag(p, c, &a.config)
	c.Flags().StringVar(&a.address, "admin", "", "the worker's admin `URL` or host:port (default: admin.listen of the configuration, else "+defaultAdmin+")")
	a.token, _ = p.env("FLUSHLINE_ADMIN_TOKEN")
}

// open finds the address and the token.
func (a *adminOptions) open(p *program) (*adminClient, error) {
	address, token := a.address, a.token
	if a.config != "" && (address == "" || token == "") {
		cfg, _, err := p.load(a.config)
		if err != nil {
			return nil, err
		}
		address = cmp.Or(address, cfg.Admin.Listen)
		token = cmp.Or(token, cfg.Admin.Token.Reveal())
		if address == "" {
			return nil, usage(fmt.Errorf("admin.listen is empty in %s: this worker has no admin listener to ask", a.config))
		}
	}
	return newAdminClient(cmp.Or(address, defaultAdmin), token)
}

// adminClient asks one worker.
type adminClient struct {
	base  string
	token string
}

func newAdminClient(address, token string) (*adminClient, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, usage(fmt.Errorf("--admin %q is no address: write http://127.0.0.1:8480 or 127.0.0.1:8480", address))
	}
	// A listener on every interface is asked on loopback.
	if host, port, err := net.SplitHostPort(u.Host); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			u.Host = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return &adminClient{base: strings.TrimSuffix(u.String(), "/"), token: token}, nil
}

func (a *adminClient) call(ctx context.Context, method, path string) ([]byte, error) {
	resp, err := a.ask(ctx, method, path, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, unavailable(fmt.Errorf("couldn't read the answer of %s: %w", a.base, err))
	}
	return body, nil
}

// ask sends a request whose answer may last so long; 0: until ctx ends. The error is
// also what the worker refuses.
func (a *adminClient) ask(ctx context.Context, method, path string, lasts time.Duration) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, nil)
	if err != nil {
		return nil, usage(err)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	client := http.Client{Timeout: lasts}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unavailable(fmt.Errorf("couldn't reach a worker: %w\nis `flushline run` running? its address is admin.listen of its configuration: give it with --admin", unwrapURL(err)))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return nil, unavailable(fmt.Errorf("couldn't read the answer of %s: %w", a.base, err))
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, unavailable(fmt.Errorf("%s wants a token: put admin.token of its configuration into FLUSHLINE_ADMIN_TOKEN", a.base))
	case resp.StatusCode == http.StatusNotFound:
		return nil, unavailable(fmt.Errorf("%s has no %s: perhaps this is metrics.listen; give the address of admin.listen with --admin", a.base, path))
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusUnprocessableEntity:
		return nil, usage(errors.New(printableLines(string(body))))
	}
	return nil, unavailable(fmt.Errorf("%s%s answered %s: %s", a.base, path, resp.Status, printable(strings.TrimSpace(string(body)))))
}

// printableLines is printable for text of several lines.
func printableLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// unwrapURL keeps method and address out of a message that names them already.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
