package worker

import (
	"context"
	"sync"
	"time"

	"burrow/api"
	"burrow/peerd/queue"
)

const (
	// flushEvery is how long output may wait before it is on disk and visible:
	// a program that prints line by line then costs one write, not one a line.
	flushEvery = 20 * time.Millisecond
	// holdMost is how much output may wait, in bytes; the program's pipe is
	// held back beyond it.
	holdMost = 4 * queue.MaxChunk
)

// output gathers the chunks of one attempt and appends them in the background.
type output struct {
	ctx  context.Context
	q    *queue.Queue
	l    queue.Lease
	wake chan struct{} // poked when there is something to write
	quit chan struct{} // closed by close
	done chan struct{} // closed when the loop has ended

	mu   sync.Mutex
	room *sync.Cond // size went down, or err was set
	held []queue.Chunk
	size int
	err  error // first failed append: the program must stop
}

func newOutput(ctx context.Context, q *queue.Queue, l queue.Lease) *output {
	o := &output{ctx: ctx, q: q, l: l, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	o.room = sync.NewCond(&o.mu)
	go o.loop()
	return o
}

// write is the executor.OutputFunc of the attempt.
func (o *output) write(stream api.Stream, data []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size >= holdMost && o.err == nil {
		o.room.Wait()
	}
	if o.err != nil {
		return o.err
	}
	for len(data) > 0 {
		n := min(len(data), queue.MaxChunk)
		o.add(stream, data[:n])
		data = data[n:]
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// add joins data to the last chunk where it fits. Caller holds mu.
func (o *output) add(stream api.Stream, data []byte) {
	o.size += len(data)
	if n := len(o.held); n > 0 {
		last := &o.held[n-1]
		if last.Stream == stream && len(last.Data)+len(data) <= queue.MaxChunk {
			last.Data = append(last.Data, data...)
			return
		}
	}
	o.held = append(o.held, queue.Chunk{Stream: stream, Data: append([]byte(nil), data...)})
}

func (o *output) take() []queue.Chunk {
	o.mu.Lock()
	defer o.mu.Unlock()
	chunks := o.held
	o.held, o.size = nil, 0
	o.room.Broadcast()
	return chunks
}

func (o *output) loop() {
	defer close(o.done)
	for {
		select {
		case <-o.wake:
		case <-o.quit:
			return // what is left goes with the result
		}
		o.mu.Lock()
		full := o.size >= queue.MaxChunk
		o.mu.Unlock()
		if !full && !o.pause() {
			return
		}
		err := o.q.Append(o.ctx, o.l, o.take())
		if err == nil {
			continue
		}
		o.mu.Lock()
		o.err = err
		o.room.Broadcast()
		o.mu.Unlock()
		return
	}
}

// pause gathers output for a moment; false means that the attempt has ended.
func (o *output) pause() bool {
	t := time.NewTimer(flushEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.quit:
		return false
	}
}

// close ends the background writes and returns what is not on disk yet: it is
// stored together with the result. No write may be under way.
func (o *output) close() ([]queue.Chunk, error) {
	close(o.quit)
	<-o.done
	return o.held, o.err
}
