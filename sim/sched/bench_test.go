package sched_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/rt"
)

// perStep reports the cost of a scheduler step.
func perStep(b *testing.B, s *sched.Sim, before uint64) {
	b.Helper()
	if steps := s.Steps() - before; steps > 0 {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
	}
}

// BenchmarkSwitch is one resume and yield of a task among n runnable ones.
func BenchmarkSwitch(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("tasks=%d", n), func(b *testing.B) {
			s := sched.New(1)
			defer s.Close()
			p := s.Process("p")
			for i := range n {
				share := b.N / n
				if i < b.N%n {
					share++
				}
				p.Go("task", func(ctx context.Context) {
					for i := range share {
						d := time.Duration(0)
						if i%1000 == 999 { // virtual time has to move now and then
							d = 1
						}
						_ = p.Sleep(ctx, d)
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := s.Run(0); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSleep is one sleep of a task among n sleeping ones: timer, switch and all.
func BenchmarkSleep(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("tasks=%d", n), func(b *testing.B) {
			s := sched.New(1)
			defer s.Close()
			p := s.Process("p")
			for i := range n {
				p.Go("task", func(ctx context.Context) {
					for range b.N / n {
						_ = p.Sleep(ctx, time.Duration(1000+i))
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := s.Run(0); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkCallback is one timer callback without a closure of its own.
func BenchmarkCallback(b *testing.B) {
	s := sched.New(1)
	defer s.Close()
	p := s.Process("p")
	left := b.N
	var again func()
	again = func() {
		if left--; left > 0 {
			p.After(1000, again)
		}
	}
	for range 100 {
		p.After(1000, again)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Run(0); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkQueue is an event through two queues between two tasks, with a timeout each that does not happen.
func BenchmarkQueue(b *testing.B) {
	s := sched.New(1)
	defer s.Close()
	p := s.Process("p")
	there, back := rt.NewQueue[int](p, 0), rt.NewQueue[int](p, 0)
	p.Go("echo", func(ctx context.Context) {
		for v, err := there.Pop(ctx); err == nil; v, err = there.Pop(ctx) {
			_ = back.Push(ctx, v)
		}
	})
	p.Go("main", func(ctx context.Context) {
		for i := range b.N {
			one, cancel := p.WithTimeout(ctx, time.Second)
			_ = there.Push(one, i)
			_, _ = back.Pop(one)
			cancel()
			if i%1000 == 0 {
				_ = p.Sleep(ctx, time.Millisecond)
			}
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Run(0); err != nil {
		b.Fatal(err)
	}
	perStep(b, s, 0)
}

// BenchmarkTask is a task from Go to its end.
func BenchmarkTask(b *testing.B) {
	s := sched.New(1)
	defer s.Close()
	p := s.Process("p")
	p.Go("main", func(ctx context.Context) {
		for range b.N {
			p.Go("task", func(context.Context) {})
			_ = p.Sleep(ctx, 1)
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Run(0); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkKill is the start and kill of a process with one blocked task.
func BenchmarkKill(b *testing.B) {
	s := sched.New(1)
	defer s.Close()
	b.ReportAllocs()
	for range b.N {
		p := s.Process("p")
		p.Go("task", func(ctx context.Context) { _ = p.Sleep(ctx, time.Hour) })
		_ = s.Run(s.Now() + 1)
		p.Kill()
	}
}

// BenchmarkToy is the toy system; the metric that counts is the cost of a step.
func BenchmarkToy(b *testing.B) {
	var steps uint64
	for seed := range b.N {
		_, n, err := toy(uint64(seed), time.Second)
		if err != nil {
			b.Fatal(err)
		}
		steps += n
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
	b.ReportMetric(time.Second.Seconds()*float64(b.N)/b.Elapsed().Seconds(), "virtual/real")
}
