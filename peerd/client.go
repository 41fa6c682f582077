package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"burrow/api"
	"burrow/api/client"
	"burrow/internal/daemon"
)

// clientFlags find the daemon: by --peer and --token-file, else by its data
// folder.
type clientFlags struct {
	peer      string
	tokenFile string
	data      string
	json      bool
}

func (c *clientFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.peer, "peer", "", "`URL` of the peer (default: the address in its data folder)")
	f.StringVar(&c.tokenFile, "token-file", "", "`file` with the peer's token (default: token in its data folder)")
	f.StringVar(&c.data, "data", "", "the peer's data `folder`")
	f.BoolVar(&c.json, "json", false, "print JSON, for programs")
}

func (c *clientFlags) connect() (*client.Peer, error) {
	dir := c.data
	if dir == "" && (c.peer == "" || c.tokenFile == "") {
		var err error
		if dir, err = daemon.DataDir("", "peerd"); err != nil {
			return nil, err
		}
	}
	address := c.peer
	if address == "" {
		data, err := os.ReadFile(filepath.Join(dir, "address"))
		if err != nil {
			return nil, fmt.Errorf("no peer has run with the data folder %s; start one with peerd, or name yours with --data or --peer: %w", dir, api.ErrUnavailable)
		}
		address = "http://" + strings.TrimSpace(string(data))
	} else if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	token, err := os.ReadFile(cmp.Or(c.tokenFile, filepath.Join(dir, "token")))
	if err != nil {
		return nil, fmt.Errorf("read the peer's token: %w; name it with --token-file or --data", err)
	}
	return client.NewPeer(address, strings.TrimSpace(string(token)))
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints rows in aligned columns.
func table(w io.Writer, head string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(head, " ", "\t"))
	for _, row := range rows {
		for i := range row {
			row[i] = plain(row[i])
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// plain makes text from elsewhere harmless on a terminal: control and
// direction characters become U+FFFD.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '\ufffd'
		}
		return r
	}, s)
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}

func took(j api.Job) string {
	switch {
	case j.StartedAt.IsZero():
		return "-"
	case j.FinishedAt.IsZero():
		return time.Since(j.StartedAt).Round(time.Second).String()
	}
	return j.FinishedAt.Sub(j.StartedAt).Round(time.Millisecond).String()
}
