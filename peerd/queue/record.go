package queue

import (
	"encoding/json"
	"fmt"

	"burrow/api"
	"burrow/internal/kv"
)

// record is a job as it lies on disk. The spec and the output lie apart, so
// that a change of state writes a few hundred bytes and lists stay fast.
type record struct {
	Job     api.Job `json:"job"` // without Spec, Stdout and Stderr
	Seq     uint64  `json:"seq"` // order of submission
	Retries int     `json:"retries"`
	Token   int64   `json:"token"` // of the newest attempt; only it may finish the job
	IdemKey string  `json:"idem,omitempty"`
}

// idemEntry remembers which job an Idempotency-Key stands for, and a hash of
// its spec so that a reused key is noticed.
type idemEntry struct {
	ID   string `json:"id"`
	Hash []byte `json:"hash"`
}

// Keys. Numbers are fixed-width hexadecimal, so that the byte order of keys is
// the order of numbers.
const (
	jobPrefix   = "job/"   // job/<id> -> record
	specPrefix  = "spec/"  // spec/<id> -> api.JobSpec
	seqPrefix   = "seq/"   // seq/<seq> -> id, all jobs in order of submission
	livePrefix  = "live/"  // live/<seq> -> id, jobs that are not final
	donePrefix  = "done/"  // done/<finished, unix ns>/<id> -> "", in order of ending
	idemPrefix  = "idem/"  // idem/<key> -> idemEntry
	outPrefix   = "out/"   // out/<id>/<token>/<index> -> stream byte + data
	trashPrefix = "trash/" // trash/<prefix to delete> -> "", emptied by the reaper
	totalsKey   = "meta/totals"
)

func jobKey(id string) string       { return jobPrefix + id }
func specKey(id string) string      { return specPrefix + id }
func seqKey(seq uint64) string      { return fmt.Sprintf("%s%016x", seqPrefix, seq) }
func liveKey(seq uint64) string     { return fmt.Sprintf("%s%016x", livePrefix, seq) }
func idemKey(key string) string     { return idemPrefix + key }
func outJob(id string) string       { return outPrefix + id + "/" }
func trashKey(prefix string) string { return trashPrefix + prefix }

func outAttempt(id string, token int64) string {
	return fmt.Sprintf("%s%s/%08x/", outPrefix, id, token)
}

func outKey(id string, token int64, index int) string {
	return fmt.Sprintf("%s%08x", outAttempt(id, token), index)
}

func doneKey(r *record) string {
	return fmt.Sprintf("%s%016x/%s", donePrefix, r.Job.FinishedAt.UnixNano(), r.Job.ID)
}

func getJSON(tx kv.Tx, key string, v any) error {
	data, err := tx.Get(key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %s: %w", key, err)
	}
	return nil
}

func setJSON(tx kv.Tx, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	return tx.Set(key, data)
}
