package api

import "time"

// Totals are monotonic counts of ended jobs of one peer, so a report that is
// repeated or lost never counts twice. peerd keeps them in its data folder,
// written together with each result.
type Totals struct {
	Boot   string             `json:"boot"`             // random id of the series; a new one starts from zero
	States map[JobState]int64 `json:"states,omitempty"` // ended jobs by final state
	CPU    Duration           `json:"cpu"`              // consumed by ended jobs
	Wall   Duration           `json:"wall"`
}

// Ended is the number of ended jobs.
func (t Totals) Ended() int64 {
	var n int64
	for _, c := range t.States {
		n += c
	}
	return n
}

// NetworkStats is the answer of the registry's GET /v1/stats.
type NetworkStats struct {
	Peers   int                `json:"peers"` // active now
	Slots   int                `json:"slots"` // of active peers
	Running int                `json:"running"`
	Queued  int                `json:"queued"`
	States  map[JobState]int64 `json:"states"` // ended jobs since the registry's first start
	CPU     Duration           `json:"cpu"`
	Buckets []Bucket           `json:"buckets,omitempty"` // history, oldest first
}

// Bucket is the work that ended in one span of time.
type Bucket struct {
	Start  time.Time          `json:"start"`
	Width  Duration           `json:"width"` // 1s, 1m or 1h
	States map[JobState]int64 `json:"states"`
	CPU    Duration           `json:"cpu"`
}
