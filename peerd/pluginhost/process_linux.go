package pluginhost

import (
	"os/exec"
	"syscall"
)

// confine lets the plugin die with us, even by SIGKILL, and keeps the
// terminal's Ctrl-C from it: we stop it ourselves.
func confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
