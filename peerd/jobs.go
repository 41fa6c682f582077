package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"burrow/api"
	"burrow/api/client"
)

func newJobs(c *clientFlags) *cobra.Command {
	var filter client.JobFilter
	cmd := &cobra.Command{
		Use: "jobs", Short: "List jobs, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := c.connect()
			if err != nil {
				return err
			}
			page, err := p.Jobs(cmd.Context(), filter)
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), page)
			}
			var rows [][]string
			for _, j := range page.Jobs {
				rows = append(rows, []string{j.ID, string(j.State), j.Peer, took(j), ago(j.CreatedAt), j.Name})
			}
			if err := table(cmd.OutOrStdout(), "ID STATE PEER TOOK CREATED NAME", rows); err != nil {
				return err
			}
			if page.Next != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "more: peerd jobs --cursor %s\n", page.Next)
			}
			return nil
		},
	}
	cmd.Flags().StringVar((*string)(&filter.State), "state", "", "only jobs of this `state`")
	cmd.Flags().StringVar(&filter.Cursor, "cursor", "", "where the page before ended")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "jobs to list, 1 to 1000")
	return cmd
}

func newShow(c *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a job: state, outcome, usage, timeline", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := c.connect()
			if err != nil {
				return err
			}
			job, err := p.Job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), job)
			}
			return showJob(cmd.OutOrStdout(), job)
		},
	}
}

func showJob(w io.Writer, j api.Job) error {
	rows := [][]string{
		{"name", j.Name},
		{"state", string(j.State)},
		{"created", stamp(j.CreatedAt)},
		{"origin", j.Origin},
		{"peer", j.Peer},
		{"limits", fmt.Sprintf("wall %s, cpu %s, memory %s, output %s", j.Limits.Wall, j.Limits.CPU, j.Limits.Memory, j.Limits.Output)},
	}
	if j.Reason != "" {
		rows = append(rows, []string{"waits", j.Reason})
	}
	if o := j.Outcome; o != nil {
		rows = append(rows, []string{"exit code", fmt.Sprint(o.ExitCode)}, []string{"runtime", string(o.Runtime)},
			[]string{"usage", fmt.Sprintf("wall %s, cpu %s, memory %s, output %s", o.Usage.Wall.Std().Round(time.Millisecond), o.Usage.CPU.Std().Round(time.Millisecond), o.Usage.Memory, o.Usage.Output)})
		if o.Message != "" {
			rows = append(rows, []string{"message", o.Message})
		}
	}
	for _, a := range j.Attempts {
		text := fmt.Sprintf("%s on %s", stamp(a.StartedAt), a.Peer)
		if a.End != "" {
			text += fmt.Sprintf(", %s after %s", a.End, a.EndedAt.Sub(a.StartedAt).Round(time.Millisecond))
		}
		if a.Reason != "" {
			text += " (" + a.Reason + ")"
		}
		rows = append(rows, []string{fmt.Sprintf("attempt %d", a.Token), text})
	}
	return table(w, "job "+j.ID, rows)
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }

func newLogs(c *clientFlags) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "logs ID", Short: "Show a job's output; -f follows it to the end", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := c.connect()
			if err != nil {
				return err
			}
			if c.json {
				return p.Output(cmd.Context(), args[0], wait, func(f api.OutputFrame) error { return printJSON(cmd.OutOrStdout(), f) })
			}
			if wait {
				return follow(cmd, p, args[0])
			}
			return p.Output(cmd.Context(), args[0], false, func(f api.OutputFrame) error { return writeFrame(cmd, f) })
		},
	}
	cmd.Flags().BoolVarP(&wait, "follow", "f", false, "go on until the job ends")
	return cmd
}

// followTries is how often follow comes back after a broken connection, with
// a pause of followPause, before it gives up.
const (
	followTries = 20
	followPause = 500 * time.Millisecond
)

// follow copies a job's output to stdout and stderr until the job ends. When
// the peer goes away it comes back and skips what it has shown already.
func follow(cmd *cobra.Command, p *client.Peer, id string) error {
	var attempt, shown int64 // bytes of attempt that are on the screen
	var ended bool
	for try := 0; ; try++ {
		skip := shown
		err := p.Output(cmd.Context(), id, true, func(f api.OutputFrame) error {
			try = 0
			if f.State != "" {
				ended = true
				return nil
			}
			if f.Attempt != attempt {
				if attempt != 0 && shown > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "peerd: attempt %d was lost; the output of attempt %d follows from its start\n", attempt, f.Attempt)
				}
				attempt, shown, skip = f.Attempt, 0, 0
			}
			cut := min(skip, int64(len(f.Data)))
			skip -= cut
			shown += int64(len(f.Data)) - cut
			f.Data = f.Data[cut:]
			return writeFrame(cmd, f)
		})
		switch {
		case ended || cmd.Context().Err() != nil:
			return nil
		case err != nil && (!errors.Is(err, api.ErrUnavailable) || try >= followTries):
			return err
		}
		t := time.NewTimer(followPause)
		select {
		case <-t.C:
		case <-cmd.Context().Done():
			t.Stop()
			return nil
		}
	}
}

func writeFrame(cmd *cobra.Command, f api.OutputFrame) error {
	w := cmd.OutOrStdout()
	if f.Stream == api.Stderr {
		w = cmd.ErrOrStderr()
	}
	_, err := w.Write(f.Data)
	return err
}

func newCancel(c *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Stop a job that waits or runs", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := c.connect()
			if err != nil {
				return err
			}
			job, err := p.Cancel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), job)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "job %s %s\n", job.ID, job.State)
			return err
		},
	}
}
