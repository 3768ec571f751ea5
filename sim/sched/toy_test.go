package sched_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
)

// goldenToy is the fold of the toy's hashes over seeds 0 to 49. Both coroutine implementations must arrive at it, on
// every platform: it changes only when the scheduler's order or its hash are changed on purpose.
const goldenToy = 0x8e88b7ee89506250

// toy is a small system in which everything happens that the scheduler can do: servers with queues, clients with
// timeouts and retries, delayed messages, pauses, crashes and restarts, contended locks.
func toy(seed uint64, virtual time.Duration) (hash, steps uint64, err error) {
	s := sched.New(seed)
	defer s.Close()
	rng := s.Rand("toy")
	type request struct {
		from  int
		reply *rt.Future[uint64]
	}
	const servers, clients = 3, 8
	inbox := make([]*rt.Queue[request], servers)
	procs := make([]*sched.Process, servers)
	start := func(i int) {
		p := s.Process(fmt.Sprintf("server%d", i))
		q := rt.NewQueue[request](p, 16)
		lock := rt.NewMutex(p)
		inbox[i], procs[i] = q, p
		for range 3 {
			p.Go("worker", func(ctx context.Context) {
				for {
					r, err := q.Pop(ctx)
					if err != nil || lock.Lock(ctx) != nil {
						return
					}
					_ = p.Sleep(ctx, time.Duration(p.Rand().IntN(2000))*time.Microsecond)
					lock.Unlock()
					s.After(time.Duration(rng.IntN(3000))*time.Microsecond, func() { r.reply.Complete(uint64(i)<<32|uint64(r.from), nil) })
				}
			})
		}
	}
	for i := range servers {
		start(i)
	}
	home := s.Process("clients")
	slots := rt.NewSemaphore(home, 5)
	for c := range clients {
		home.Go("client", func(ctx context.Context) {
			for slots.Acquire(ctx, 1) == nil {
				one, cancel := home.WithTimeout(ctx, 10*time.Millisecond)
				r := request{from: c, reply: rt.NewFuture[uint64](home)}
				to := home.Rand().IntN(servers)
				s.After(time.Duration(rng.IntN(1000))*time.Microsecond, func() { inbox[to].TryPush(r) })
				v, err := r.reply.Wait(one)
				if err != nil {
					v = 1
				}
				s.Fold(uint64(c), v)
				cancel()
				slots.Release(1)
				_ = home.Sleep(ctx, time.Duration(home.Rand().IntN(1000))*time.Microsecond)
			}
		})
	}
	var fault func()
	fault = func() {
		i := rng.IntN(servers)
		p := procs[i]
		if rng.IntN(2) == 0 {
			p.Kill()
			s.After(20*time.Millisecond, func() {
				if !procs[i].Alive() {
					start(i)
				}
			})
		} else {
			p.Pause()
			s.After(15*time.Millisecond, p.Resume)
		}
		s.After(time.Duration(rng.IntN(100))*time.Millisecond, fault)
	}
	s.After(50*time.Millisecond, fault)
	err = s.Run(virtual)
	return s.Hash(), s.Steps(), err
}

// toys folds many seeds on several goroutines, in an order that does not matter to the result.
func toys(t *testing.T, workers int) uint64 {
	t.Helper()
	const seeds = 50
	hashes := make([]uint64, seeds)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for seed := w; seed < seeds; seed += workers {
				hash, steps, err := toy(uint64(seed), 500*time.Millisecond)
				if err != nil || steps < 1000 {
					t.Errorf("seed %d: %d steps, %v", seed, steps, err)
				}
				hashes[seed] = hash
			}
		})
	}
	wg.Wait()
	var fold uint64
	for _, h := range hashes {
		fold = fold*0x9e3779b97f4a7c15 ^ h
	}
	return fold
}

// TestToyIsReproducible: the same hashes alone and beside others, on one processor and on two, and in both coroutine
// implementations.
func TestToyIsReproducible(t *testing.T) { //nolint:paralleltest // changes GOMAXPROCS
	before := runtime.GOMAXPROCS(1)
	one := toys(t, 1)
	runtime.GOMAXPROCS(2)
	two, four := toys(t, 1), toys(t, 4)
	runtime.GOMAXPROCS(before)
	if one != two || one != four {
		t.Errorf("hashes differ: %#x on one processor, %#x on two, %#x with four seeds at a time", one, two, four)
	}
	if one != goldenToy {
		t.Errorf("the toy's hash is %#x, expected %#x: the scheduler's order has changed, or differs between builds", one, uint64(goldenToy))
	}
}

func TestSeedsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[uint64]uint64{}
	for seed := range uint64(20) {
		hash, _, err := toy(seed, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if other, dup := seen[hash]; dup {
			t.Errorf("seeds %d and %d have one hash", seed, other)
		}
		seen[hash] = seed
	}
}
