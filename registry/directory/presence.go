package directory

import (
	"context"
	"time"

	"burrow/api"
)

// recount is how old the number of active peers may get.
const recount = time.Second

// heard notes a sign of life and what the peer does now, counts its
// statistics, and chooses when it comes again.
func (d *Directory) heard(ctx context.Context, hb api.Heartbeat) (api.HeartbeatReply, error) {
	// The statistics first: a peer whose report was not counted gets an error
	// and repeats it.
	if err := d.tally.report(ctx, hb.Peer.ID, hb.Stats); err != nil {
		return api.HeartbeatReply{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.peers[hb.Peer.ID]
	if !ok { // it left in the meantime
		return api.HeartbeatReply{}, unknownPeer(hb.Peer.ID)
	}
	p.Running, p.Queued, p.seen = hb.Peer.Running, hb.Peer.Queued, time.Now()
	p.period = d.period(p.seen)
	return api.HeartbeatReply{Period: api.Duration(p.period)}, nil
}

// period is the time between two heartbeats of one peer: as configured, or
// longer where all active peers together would be over MaxRate. After a restart
// every peer counts as active at first, or they would all be told to hurry.
// The caller holds mu.
func (d *Directory) period(now time.Time) time.Duration {
	if now.Sub(d.counted) >= recount {
		n := 0
		for _, p := range d.peers {
			if now.Before(p.silentSince(d.started, d.cfg.Period)) {
				n++
			}
		}
		stretched := time.Duration(n) * time.Second / time.Duration(d.cfg.MaxRate)
		d.counted, d.stretched = now, max(d.cfg.Period, stretched.Round(time.Millisecond))
	}
	return d.stretched
}

// active reports whether the peer may still be there. A peer that was entered
// by another replica is not known here and counts as active.
func (d *Directory) active(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.peers[id]
	now := time.Now()
	return !ok || now.Before(p.silentSince(d.started, d.period(now)))
}

// remember takes a stored record into memory; what is known of the peer's
// presence stays.
func (d *Directory) remember(rec peerRecord, evicted string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.peers, evicted)
	p, ok := d.peers[rec.ID]
	if !ok {
		p = &presence{}
		d.peers[rec.ID] = p
	}
	running, queued := p.Running, p.Queued
	p.peerRecord = rec
	p.Running, p.Queued = running, queued
}

func (d *Directory) drop(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.peers, id)
}
