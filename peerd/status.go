package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"burrow/api"
)

func newStatus(c *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show what the peer does and how it protects its host", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := c.connect()
			if err != nil {
				return err
			}
			s, err := p.Status(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			rows := [][]string{
				{"address", s.Peer.Address},
				{"executor", s.Executor},
				{"registry", s.Registry},
				{"slots", fmt.Sprintf("%d, %d busy", s.Peer.Slots, s.Peer.Running)},
				{"queued", fmt.Sprint(s.Peer.Queued)},
				{"completed", fmt.Sprint(s.Completed)},
				{"failed", fmt.Sprint(s.Failed)},
				{"runtimes", runtimes(s.Peer)},
				{"uptime", s.Uptime.String()},
			}
			for _, l := range s.Peer.Layers {
				state := "off"
				if l.Active {
					state = "on"
				}
				if l.Reason != "" {
					state += ": " + l.Reason
				}
				rows = append(rows, []string{"sandbox/" + l.Name, state})
			}
			return table(cmd.OutOrStdout(), "peer "+s.Peer.Name, rows)
		},
	}
}

func newPeers(c *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "peers", Short: "List the network's active peers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := c.connect()
			if err != nil {
				return err
			}
			peers, err := p.Peers(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), peers)
			}
			var rows [][]string
			for _, p := range peers {
				rows = append(rows, []string{p.Name, p.Address, p.Account, fmt.Sprintf("%d/%d", p.Running, p.Slots), fmt.Sprint(p.Queued), runtimes(p)})
			}
			return table(cmd.OutOrStdout(), "NAME ADDRESS ACCOUNT BUSY QUEUED RUNTIMES", rows)
		},
	}
}

func runtimes(p api.Peer) string {
	var names []string
	for _, r := range p.Runtimes {
		names = append(names, string(r.Name)+" "+r.Version)
	}
	return strings.Join(names, ", ")
}
