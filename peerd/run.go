package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"burrow/api"
	"burrow/api/client"
)

// runFlags are the spec's fields on the command line.
type runFlags struct {
	name, runtime, stdin            string
	wall, cpu, memory, output, disk string
	retries                         int
	detach                          bool
}

func newRun(c *clientFlags) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE|- [args]",
		Short: "Run a Python program and show its output as it comes",
		Long: `Run a Python program on the peer. Its stdout and stderr come out here as they
are written, and its exit code is that of this command; 124 means timed out, 137
killed (by a limit), 125 an error of Burrow. Ctrl-C cancels the job.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := f.spec(cmd, args)
			if err != nil {
				return err
			}
			p, err := c.connect()
			if err != nil {
				return err
			}
			job, err := p.Submit(cmd.Context(), spec, rand.Text())
			if err != nil {
				return err
			}
			if f.detach {
				if c.json {
					return printJSON(cmd.OutOrStdout(), job)
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), job.ID)
				return err
			}
			return followRun(cmd, p, job.ID, c.json)
		},
	}
	fl := cmd.Flags()
	fl.SetInterspersed(false) // what follows FILE belongs to the program
	fl.StringVar(&f.name, "name", "", "name of the job (default: the file's)")
	fl.StringVar(&f.runtime, "runtime", "auto", "auto, gpython or cpython")
	fl.StringVar(&f.stdin, "stdin", "", "`file` for the program's stdin, - for this command's")
	fl.StringVar(&f.wall, "wall", "", "wall time `limit`, such as 90s (default 1m)")
	fl.StringVar(&f.cpu, "cpu", "", "CPU time `limit` (default 1m, or --wall)")
	fl.StringVar(&f.memory, "memory", "", "memory `limit`, such as 512MiB (default 256MiB)")
	fl.StringVar(&f.output, "output", "", "output `limit` (default 1MiB)")
	fl.StringVar(&f.disk, "disk", "", "disk `limit` (default 64MiB)")
	fl.IntVar(&f.retries, "retries", api.DefaultRetries, "lost attempts that are made good")
	fl.BoolVarP(&f.detach, "detach", "d", false, "print the job's id and do not wait")
	return cmd
}

func (f *runFlags) spec(cmd *cobra.Command, args []string) (api.JobSpec, error) {
	spec := api.JobSpec{Name: f.name, Runtime: api.Runtime(f.runtime), Args: args[1:], Retries: &f.retries}
	if args[0] == "-" && f.stdin == "-" {
		return spec, api.Invalid("--stdin", "- is taken by the program itself; put one of them into a file")
	}
	source, err := readAll(cmd.InOrStdin(), args[0], api.MaxSource)
	if err != nil {
		return spec, err
	}
	spec.Source = source
	if spec.Name == "" && args[0] != "-" {
		spec.Name = filepath.Base(args[0])
	}
	if f.stdin != "" {
		if spec.Stdin, err = readAll(cmd.InOrStdin(), f.stdin, api.MaxStdin); err != nil {
			return spec, err
		}
	}
	if err := f.limits(&spec.Limits); err != nil {
		return spec, err
	}
	return spec, spec.Validate()
}

func (f *runFlags) limits(l *api.Limits) error {
	for _, d := range []struct {
		flag, text string
		to         *api.Duration
	}{{"--wall", f.wall, &l.Wall}, {"--cpu", f.cpu, &l.CPU}} {
		if d.text == "" {
			continue
		}
		v, err := api.ParseDuration(d.text)
		if err != nil {
			return api.Invalid(d.flag, "%v", err)
		}
		*d.to = v
	}
	for _, s := range []struct {
		flag, text string
		to         *api.Size
	}{{"--memory", f.memory, &l.Memory}, {"--output", f.output, &l.Output}, {"--disk", f.disk, &l.Disk}} {
		if s.text == "" {
			continue
		}
		v, err := api.ParseSize(s.text)
		if err != nil {
			return api.Invalid(s.flag, "%v", err)
		}
		*s.to = v
	}
	return nil
}

// readAll reads a file, or stdin for "-", up to a bound.
func readAll(stdin io.Reader, path string, most int64) (string, error) {
	r := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close() //nolint:errcheck // only read
		r = file
	}
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(data)) > most {
		return "", fmt.Errorf("%s is over %d bytes: %w", path, most, api.ErrTooLarge)
	}
	return string(data), nil
}

// followRun shows the job's output until it ends and turns its end into this
// command's exit code.
func followRun(cmd *cobra.Command, p *client.Peer, id string, asJSON bool) error {
	ctx := cmd.Context()
	err := error(nil)
	if !asJSON {
		err = follow(cmd, p, id)
	}
	for err == nil && asJSON {
		job, jobErr := p.Job(ctx, id)
		if err = jobErr; err == nil && job.State.Final() {
			break
		}
		err = p.Output(ctx, id, true, func(api.OutputFrame) error { return nil })
	}
	if ctx.Err() != nil {
		return cancelRun(cmd, p, id)
	}
	if err != nil {
		return fmt.Errorf("job %s is queued or running; see it with peerd show %s: %w", id, id, err)
	}
	job, err := p.Job(ctx, id)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), job); err != nil {
			return err
		}
	} else if job.Outcome.Message != "" && (job.State != api.StateFailed || job.Stderr == "") {
		// A program that failed has said why itself, on stderr.
		fmt.Fprintf(cmd.ErrOrStderr(), "peerd: job %s %s: %s\n", id, job.State, plain(job.Outcome.Message))
	}
	return exitFor(job)
}

// cancelRun stops the job of a run that was interrupted.
func cancelRun(cmd *cobra.Command, p *client.Peer, id string) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(cmd.Context()), 3*time.Second)
	defer stop()
	if _, err := p.Cancel(ctx, id); err != nil && !errors.Is(err, api.ErrConflict) {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "peerd: job %s cancelled\n", id)
	return exitError(130)
}

func exitFor(job api.Job) error {
	switch o := job.Outcome; job.State {
	case api.StateSucceeded:
		return nil
	case api.StateFailed:
		return exitError(max(1, o.ExitCode))
	case api.StateTimedOut:
		return exitError(exitTimedOut)
	case api.StateKilled:
		return exitError(exitKilled)
	default:
		return exitError(exitBurrow)
	}
}
