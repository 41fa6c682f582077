package api

import "time"

// Peer is a machine of the network as the registry lists it.
type Peer struct {
	ID       string        `json:"id"`      // 26 characters, made at the peer's first start
	Name     string        `json:"name"`    // unique in the network
	Address  string        `json:"address"` // host:port that it serves
	Account  string        `json:"account"` // who registered it
	Version  string        `json:"version,omitempty"`
	Slots    int           `json:"slots"`
	Running  int           `json:"running"`
	Queued   int           `json:"queued"`
	Runtimes []RuntimeInfo `json:"runtimes,omitempty"`
	Layers   []Layer       `json:"layers,omitempty"`
	// JoinedAt and SeenAt are by the registry's clock.
	JoinedAt time.Time `json:"joined_at,omitzero"`
	SeenAt   time.Time `json:"seen_at,omitzero"`
}

// Heartbeat is what a peer tells the registry about itself, in
// POST /v1/peers (first) and PUT /v1/peers/{id} (then).
type Heartbeat struct {
	Peer  Peer   `json:"peer"`
	Stats Totals `json:"stats"`
}

// HeartbeatReply tells the peer when to come again.
type HeartbeatReply struct {
	Period Duration `json:"period"` // the registry chooses it
}

// PeerPage is the answer of GET /v1/peers.
type PeerPage struct {
	Peers []Peer `json:"peers"`
}

// PeerStatus is the answer of a peer's GET /v1/status.
type PeerStatus struct {
	Peer      Peer     `json:"peer"`
	Ongoing   int      `json:"ongoing"` // queued + running
	Completed int64    `json:"completed"`
	Failed    int64    `json:"failed"` // every final state but succeeded
	Totals    Totals   `json:"totals"`
	Executor  string   `json:"executor"` // "ready", or why it is not
	Registry  string   `json:"registry"` // "none", "connected", or why it is not
	Uptime    Duration `json:"uptime"`
}
