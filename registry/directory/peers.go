package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

const (
	// missed is how many periods a peer may be silent before it is gone.
	missed = 3
	// peerKept is how long the record of a silent peer keeps its name.
	peerKept = 30 * 24 * time.Hour
	// peerTouch is how stale the stored time of a peer's last sign may get.
	peerTouch = 24 * time.Hour
)

// peerRecord is the lasting part of a peer. Running, Queued and SeenAt of the
// embedded Peer are not kept up to date there.
type peerRecord struct {
	api.Peer
	Last time.Time `json:"last"` // last sign of life, at most peerTouch old
}

// presence is what the registry knows of a peer now.
type presence struct {
	peerRecord
	seen   time.Time     // zero: not yet since the registry's start
	period time.Duration // that the peer was told
}

// silentSince is when the peer counts as gone. After a restart of the registry
// every peer gets its three periods anew.
func (p *presence) silentSince(started time.Time, period time.Duration) time.Time {
	seen, told := p.seen, p.period
	if seen.IsZero() {
		seen, told = started, period
	}
	return seen.Add(missed * told)
}

// RegisterClient enters a peer, or brings one of the same account up to date,
// and tells it when to send its next heartbeat. Names are unique in the
// network, in any case of letters: [api.ErrConflict]. A silent peer's name may
// be taken over by its own account only. A peer of another account is
// [api.ErrForbidden]; a bad field a [api.FieldError].
func (d *Directory) RegisterClient(ctx context.Context, who api.Account, hb api.Heartbeat) (api.HeartbeatReply, error) {
	if err := validate(hb); err != nil {
		return api.HeartbeatReply{}, err
	}
	if err := d.enter(ctx, who, hb.Peer, true); err != nil {
		return api.HeartbeatReply{}, err
	}
	return d.heard(ctx, hb)
}

// Heartbeat brings the peer id up to date. [api.ErrNotFound] tells the peer to
// register: it left, or another took its name while it was silent.
func (d *Directory) Heartbeat(ctx context.Context, who api.Account, id string, hb api.Heartbeat) (api.HeartbeatReply, error) {
	hb.Peer.ID = cmp.Or(hb.Peer.ID, id)
	if hb.Peer.ID != id {
		return api.HeartbeatReply{}, api.Invalid("peer.id", "is %.32q but the path says %.32q", hb.Peer.ID, id)
	}
	if err := validate(hb); err != nil {
		return api.HeartbeatReply{}, err
	}
	// A peer that is not known here may have been entered by another replica of
	// the registry: the store knows.
	if !d.unchanged(who, hb.Peer) {
		if err := d.enter(ctx, who, hb.Peer, false); err != nil {
			return api.HeartbeatReply{}, err
		}
	}
	return d.heard(ctx, hb)
}

// Leave takes a peer off the list at once and frees its name.
func (d *Directory) Leave(ctx context.Context, who api.Account, id string) error {
	d.register.Lock()
	defer d.register.Unlock()
	for range maxTries {
		rec, err := read[peerRecord](ctx, d.store, peerKey(id))
		if err != nil {
			return err
		}
		if !rec.found() {
			d.drop(id)
			return unknownPeer(id)
		}
		if rec.value.Account != who.User {
			return foreignPeer(rec.value.Peer)
		}
		err = d.remove(ctx, rec)
		if err == nil {
			d.drop(id)
		}
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return busy("remove peer")
}

// GetClients lists the active peers by name.
func (d *Directory) GetClients() []api.Peer {
	now := time.Now()
	d.mu.Lock()
	list := make([]api.Peer, 0, len(d.peers))
	for _, p := range d.peers {
		if !p.seen.IsZero() && now.Before(p.silentSince(d.started, p.period)) {
			peer := p.Peer
			peer.SeenAt = p.seen.UTC()
			list = append(list, peer)
		}
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b api.Peer) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// unchanged reports whether the peer is known as one of who's and its lasting
// record may stay as it is, so that the heartbeat needs no write.
func (d *Directory) unchanged(who api.Account, peer api.Peer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, known := d.peers[peer.ID]
	return known && p.Account == who.User && time.Since(p.Last) < peerTouch &&
		reflect.DeepEqual(lasting(p.Peer), lasting(owned(peer, who, p.JoinedAt)))
}

// enter writes the peer's lasting record, under its name.
func (d *Directory) enter(ctx context.Context, who api.Account, peer api.Peer, create bool) error {
	d.register.Lock()
	defer d.register.Unlock()
	for range maxTries {
		rec, err := read[peerRecord](ctx, d.store, peerKey(peer.ID))
		if err != nil {
			return err
		}
		if !rec.found() && !create {
			d.drop(peer.ID)
			return unknownPeer(peer.ID)
		}
		if rec.found() && rec.value.Account != who.User {
			return foreignPeer(rec.value.Peer)
		}
		now, old := time.Now().UTC(), rec.value
		joined := old.JoinedAt
		if joined.IsZero() {
			joined = now
		}
		rec.value = peerRecord{Peer: lasting(owned(peer, who, joined)), Last: now}
		evicted, err := d.put(ctx, rec, old.Name)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		d.remember(rec.value, evicted)
		return nil
	}
	return busy("register peer")
}

// put stores the record and its name in one transaction, and returns the id of
// the silent peer that lost the name, if any.
func (d *Directory) put(ctx context.Context, rec record[peerRecord], oldName string) (evicted string, err error) {
	name, err := read[string](ctx, d.store, nameKey(rec.value.Name))
	if err != nil {
		return "", err
	}
	conds := []kv.Cond{rec.unchanged(), name.unchanged()}
	write, err := rec.write()
	if err != nil {
		return "", err
	}
	ops := []kv.Op{write}
	if name.found() && name.value != rec.value.ID {
		holder, err := read[peerRecord](ctx, d.store, peerKey(name.value))
		if err != nil {
			return "", err
		}
		if holder.found() && (holder.value.Account != rec.value.Account || d.active(name.value)) {
			return "", fmt.Errorf("peer name %q is taken by another peer of account %q, choose another with --name: %w",
				rec.value.Name, holder.value.Account, api.ErrConflict)
		}
		evicted = name.value
		conds, ops = append(conds, holder.unchanged()), append(ops, kv.Op{Key: holder.key, Delete: true})
	}
	if name.value != rec.value.ID {
		name.value = rec.value.ID
		write, err := name.write()
		if err != nil {
			return "", err
		}
		ops = append(ops, write)
	}
	if oldName != "" && nameKey(oldName) != name.key {
		ops = append(ops, kv.Op{Key: nameKey(oldName), Delete: true})
	}
	if _, err = d.store.Txn(ctx, conds, ops); err != nil {
		return "", fmt.Errorf("store peer: %w", err)
	}
	return evicted, nil
}

// remove deletes a peer's record and frees its name.
func (d *Directory) remove(ctx context.Context, rec record[peerRecord]) error {
	_, err := d.store.Txn(ctx, []kv.Cond{rec.unchanged()},
		[]kv.Op{{Key: rec.key, Delete: true}, {Key: nameKey(rec.value.Name), Delete: true}})
	if err != nil {
		return fmt.Errorf("remove peer: %w", err)
	}
	return nil
}

// forgetSilent deletes the records of peers that gave no sign for peerKept.
func (d *Directory) forgetSilent(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	var silent []string
	for id, p := range d.peers {
		if now.Sub(p.Last) > peerKept && now.Sub(p.seen) > peerKept {
			silent = append(silent, id)
		}
	}
	d.mu.Unlock()
	d.register.Lock()
	defer d.register.Unlock()
	for _, id := range silent {
		rec, err := read[peerRecord](ctx, d.store, peerKey(id))
		if err != nil {
			return err
		}
		if rec.found() && now.Sub(rec.value.Last) <= peerKept {
			continue
		}
		if rec.found() {
			if err := d.remove(ctx, rec); err != nil && !errors.Is(err, kv.ErrConflict) {
				return err
			}
		}
		d.drop(id)
	}
	return nil
}

// owned fills in what the registry knows better than the peer.
func owned(p api.Peer, who api.Account, joined time.Time) api.Peer {
	p.Account, p.JoinedAt = who.User, joined
	return p
}

// lasting is the part of a peer that is stored.
func lasting(p api.Peer) api.Peer {
	p.Running, p.Queued, p.SeenAt = 0, 0, time.Time{}
	return p
}

func unknownPeer(id string) error {
	return fmt.Errorf("peer %.32q is not registered, register it with POST /v1/peers: %w", id, api.ErrNotFound)
}

func foreignPeer(p api.Peer) error {
	return fmt.Errorf("peer %q belongs to another account: %w", p.Name, api.ErrForbidden)
}

func busy(what string) error {
	return fmt.Errorf("%s: the registry is busy, try again: %w", what, api.ErrUnavailable)
}
