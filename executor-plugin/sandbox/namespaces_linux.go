package sandbox

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// nobody is the uid and gid of a program inside its user namespace; for a
// sandbox started by root it is also the one outside.
const nobody = 65534

// Isolation says which namespaces [Run] uses. Make it with [Probe].
type Isolation struct {
	Namespaces bool   // user, pid, net, ipc, uts
	Reason     string // why there are none
}

// Probe finds out whether this kernel and user may have namespaces, by running
// the given harmless command in them. args are its argv.
func Probe(ctx context.Context, path string, args ...string) Isolation {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	iso := Isolation{Namespaces: true}
	res, err := Run(ctx, Cmd{Path: path, Args: args, Isolation: iso, Files: []File{{}, {}, {Capture: 4 << 10}}})
	switch {
	case err != nil:
		return Isolation{Reason: fmt.Sprintf("the kernel refuses user namespaces (%v); permit them with sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces", err)}
	case res.ExitCode != 0:
		return Isolation{Reason: fmt.Sprintf("a program in user namespaces ended with exit code %d", res.ExitCode)}
	default:
		return iso
	}
}

func (i Isolation) apply(attr *syscall.SysProcAttr) {
	if !i.Namespaces {
		return
	}
	attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
		syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	uid, gid := os.Geteuid(), os.Getegid()
	root := uid == 0
	if root {
		uid, gid = nobody, nobody // root outside would own files of root
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: gid, Size: 1}}
	// Only root may drop its supplementary groups in a user namespace.
	attr.GidMappingsEnableSetgroups = root
	attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: !root}
}

// Layers describes what protects a run with this isolation.
func (i Isolation) Layers() []Layer {
	namespaces := Layer{Name: "namespaces", Active: i.Namespaces, Reason: i.Reason}
	if i.Namespaces {
		namespaces.Reason = "user, pid, net, ipc, uts: no network, no sight of other processes' ids"
	}
	return []Layer{
		{Name: "process", Active: true, Reason: "a fresh process, session and environment per job; no descriptor but its own; killed as a whole at the end"},
		namespaces,
		{Name: "no_new_privs", Active: true, Reason: "no setuid, no file capabilities"},
		{Name: "rlimits", Active: true, Reason: "core, memlock, nofile, fsize, cpu, data"},
		{Name: "watchdog", Active: true, Reason: "wall, cpu, memory and output limits, looked at every 10ms"},
		{Name: "filesystem", Reason: "no private root file system yet; gpython itself has no way to open a file"},
		{Name: "seccomp", Reason: "not built yet"},
		{Name: "landlock", Reason: "not built yet"},
		{Name: "cgroup", Reason: "not built yet; the watchdog and RLIMIT_DATA bound memory"},
	}
}
