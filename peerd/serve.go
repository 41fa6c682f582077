package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"burrow/api"
	"burrow/internal/daemon"
	"burrow/internal/httpserve"
	"burrow/internal/kv/badgerkv"
	"burrow/peerd/httpapi"
	"burrow/peerd/pluginhost"
	"burrow/peerd/queue"
	"burrow/peerd/roster"
	"burrow/peerd/worker"
)

func newServe(stderr io.Writer) *cobra.Command {
	var cfg config
	cmd := &cobra.Command{
		Use:   "peerd",
		Short: "Run a Burrow peer, or talk to the one that runs",
		Long: `peerd runs Python jobs in isolated processes, alone or in a network of peers.

Start the daemon:     peerd --port 9001
Then, from elsewhere: peerd run examples/primes.py`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := daemon.BindEnv(cmd.Flags()); err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, stderr)
		},
	}
	cfg.register(cmd)
	return cmd
}

// peer is the daemon's parts, as the status needs them.
type peer struct {
	cfg     config
	id      string
	address string
	started time.Time
	queue   *queue.Queue
	host    *pluginhost.Host
	worker  *worker.Worker
	roster  *roster.Roster // nil without a registry
}

// serve runs the daemon until ctx ends; it reads as the order of things.
func serve(ctx context.Context, cfg config, stderr io.Writer) error {
	keepFor, err := cfg.complete()
	if err != nil {
		return err
	}
	log, err := daemon.NewLogger(stderr, cfg.logFormat)
	if err != nil {
		return err
	}
	ctx = log.WithContext(ctx)
	dir, err := daemon.DataDir(cfg.data, "peerd")
	if err != nil {
		return err
	}
	db, err := badgerkv.Open(filepath.Join(dir, "db"), log)
	if err != nil {
		return err
	}
	defer closeLogged(log, "store", db.Close)
	ln, err := daemon.Listen(ctx, cfg.listen)
	if err != nil {
		return err
	}
	defer ln.Close() //nolint:errcheck // Serve has closed it already
	token, err := secret(dir, "token")
	if err != nil {
		return err
	}
	id, err := secret(dir, "peer-id")
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, db, queue.Config{Peer: cfg.name, KeepFor: keepFor, MaxFinished: cfg.maxFinished, MaxQueued: cfg.maxQueued})
	if err != nil {
		return err
	}
	defer q.Close()

	p := &peer{cfg: cfg, id: id, address: ln.Addr().String(), started: time.Now(), queue: q}
	p.host = pluginhost.New(pluginhost.Config{Path: cfg.executor}, log)
	p.worker = worker.New(q, p.host, cfg.slots)
	if err := p.joinRegistry(); err != nil {
		return err
	}
	if err := daemon.WriteFile(dir, "address", p.address+"\n"); err != nil {
		return err
	}
	p.announce(stderr, dir)
	return p.run(ctx, log, ln, token)
}

// run keeps all parts going; the first that fails ends them all.
func (p *peer) run(ctx context.Context, log zerolog.Logger, ln net.Listener, token string) error {
	// The plugin goes last, so that the worker can still end its jobs.
	hostCtx, stopHost := context.WithCancel(context.WithoutCancel(ctx))
	hostDone := make(chan error, 1)
	go func() { hostDone <- p.host.Keep(hostCtx) }()

	g, ctx := errgroup.WithContext(ctx)
	apiCfg := httpapi.Config{Queue: p.queue, Token: token, Status: p.status, Ready: p.ready, Log: log}
	if p.roster != nil {
		apiCfg.Peers = p.roster
		g.Go(func() error { return p.roster.Run(ctx) })
	}
	g.Go(func() error { return p.worker.Run(ctx) })
	g.Go(func() error { return p.queue.Reap(ctx) })
	g.Go(func() error { return httpserve.Serve(ctx, ln, httpapi.New(apiCfg)) })
	err := g.Wait()
	stopHost()
	return errors.Join(err, <-hostDone)
}

func (p *peer) joinRegistry() error {
	if p.cfg.registry == "" {
		return nil
	}
	pass, err := p.cfg.password()
	if err != nil {
		return err
	}
	p.roster, err = roster.New(roster.Config{Link: p.cfg.registry, User: p.cfg.user, Password: pass, Self: p.heartbeat})
	return err
}

func (p *peer) self() api.Peer {
	n := p.queue.Counts()
	out := api.Peer{
		ID: p.id, Name: p.cfg.name, Address: p.address, Account: p.cfg.user, Version: daemon.Version(),
		Slots: p.worker.Slots(), Running: n.Running, Queued: n.Queued,
	}
	if p.host.State() == ready {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if d, err := p.host.Describe(ctx); err == nil {
			out.Runtimes, out.Layers = d.Runtimes, d.Layers
		}
	}
	return out
}

func (p *peer) heartbeat() api.Heartbeat {
	return api.Heartbeat{Peer: p.self(), Stats: p.queue.Totals()}
}

const ready = "ready"

func (p *peer) status(context.Context) api.PeerStatus {
	self, totals := p.self(), p.queue.Totals()
	s := api.PeerStatus{
		Peer: self, Ongoing: self.Queued + self.Running, Totals: totals,
		Completed: totals.States[api.StateSucceeded], Executor: p.host.State(), Registry: "none",
		Uptime: api.Duration(time.Since(p.started).Round(time.Second)),
	}
	s.Failed = totals.Ended() - s.Completed
	if p.roster != nil {
		s.Registry = p.roster.State()
	}
	return s
}

func (p *peer) ready(context.Context) error {
	if state := p.host.State(); state != ready {
		return fmt.Errorf("executor: %s: %w", state, api.ErrUnavailable)
	}
	return nil
}

// announce prints the lines that a newcomer pastes.
func (p *peer) announce(w io.Writer, dir string) {
	token := filepath.Join(dir, "token")
	fmt.Fprintf(w, "peerd %s serves http://%s, data in %s\n", p.cfg.name, p.address, dir)
	fmt.Fprintf(w, "run a job:  curl --data-binary @examples/primes.py -H \"Authorization: Bearer $(cat '%s')\" \"http://%s/v1/jobs?wait=30s\"\n", token, p.address)
	fmt.Fprintf(w, "or:         peerd run --data '%s' examples/primes.py\n", dir)
}

// secret returns the random text kept in DIR/name, made at the first start: 256
// bits for the token, 130 for an id, which people see.
func secret(dir, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if s := strings.TrimSpace(string(data)); err == nil && len(s) >= 26 {
		return s, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	s := strings.ToLower(rand.Text())
	if name == "token" {
		var key [32]byte
		_, _ = rand.Read(key[:]) // never fails since Go 1.24
		s = hex.EncodeToString(key[:])
	}
	return s, daemon.WriteFile(dir, name, s+"\n")
}

func closeLogged(log zerolog.Logger, what string, closeFn func() error) {
	if err := closeFn(); err != nil {
		log.Error().Err(err).Str("what", what).Msg("close")
	}
}
