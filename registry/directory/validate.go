package directory

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"burrow/api"
)

// Bounds of what a peer may say about itself. Other peers' terminals and
// browsers show it.
const (
	maxText  = 200 // bytes of a version, reason or name
	maxItems = 32  // runtimes, layers
	maxCount = 1_000_000_000
)

var (
	peerID   = regexp.MustCompile(`^[A-Za-z0-9]{26}$`)
	peerName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62})$`)
	bootName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// validate reports the first field that is wrong as a [api.FieldError].
func validate(hb api.Heartbeat) error {
	p := hb.Peer
	switch {
	case !peerID.MatchString(p.ID):
		return api.Invalid("peer.id", "%.32q is no peer id; 26 letters and digits", p.ID)
	case !peerName.MatchString(p.Name):
		return api.Invalid("peer.name", "%.64q is no peer name; 1-63 of letters, digits, dots, - and _, starting with a letter or digit", p.Name)
	case !isAddress(p.Address):
		return api.Invalid("peer.address", "%.64q is no host:port", p.Address)
	case p.Slots < 0 || p.Slots > maxCount:
		return api.Invalid("peer.slots", "is %d; accepted is 0 to %d", p.Slots, maxCount)
	case p.Running < 0 || p.Running > maxCount:
		return api.Invalid("peer.running", "is %d; accepted is 0 to %d", p.Running, maxCount)
	case p.Queued < 0 || p.Queued > maxCount:
		return api.Invalid("peer.queued", "is %d; accepted is 0 to %d", p.Queued, maxCount)
	case !isText(p.Version):
		return api.Invalid("peer.version", "is not a line of up to %d bytes", maxText)
	case len(p.Runtimes) > maxItems:
		return api.Invalid("peer.runtimes", "has %d items; at most %d are accepted", len(p.Runtimes), maxItems)
	case len(p.Layers) > maxItems:
		return api.Invalid("peer.layers", "has %d items; at most %d are accepted", len(p.Layers), maxItems)
	}
	for _, r := range p.Runtimes {
		if !isText(string(r.Name)) || !isText(r.Version) {
			return api.Invalid("peer.runtimes", "has text that is not a line of up to %d bytes", maxText)
		}
	}
	for _, l := range p.Layers {
		if !isText(l.Name) || !isText(l.Reason) {
			return api.Invalid("peer.layers", "has text that is not a line of up to %d bytes", maxText)
		}
	}
	return validateTotals(hb.Stats)
}

func validateTotals(t api.Totals) error {
	if t.Boot == "" && len(t.States) == 0 && t.CPU == 0 && t.Wall == 0 {
		return nil // nothing to report
	}
	if !bootName.MatchString(t.Boot) {
		return api.Invalid("stats.boot", "%.64q is no boot id; 1-64 of letters, digits, - and _", t.Boot)
	}
	for state, n := range t.States {
		if !state.Final() || !slices.Contains(api.JobStates(), state) {
			return api.Invalid("stats.states", "%.32q is no final state of a job", string(state))
		}
		if n < 0 || n > 1_000_000*maxCount {
			return api.Invalid("stats.states", "%s is %d; accepted is 0 to 10^15", state, n)
		}
	}
	if t.CPU < 0 || t.Wall < 0 {
		return api.Invalid("stats.cpu", "is negative")
	}
	return nil
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n > 0 && host != "" && isText(s) && !strings.ContainsAny(s, " /\\@?#")
}

// isText reports whether s is one line that is safe to show.
func isText(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
