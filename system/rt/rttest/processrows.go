package rttest

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

func processRows() []row {
	return []row{
		{"a killed process does nothing any more, others go on", func(r *running) {
			effects := rt.NewQueue[string](r, 0)
			victim, kill := r.Spawn("victim")
			bystander, _ := r.Spawn("bystander")
			work := func(name string, p rt.Runtime) {
				p.Go("worker", func(ctx context.Context) {
					for p.Sleep(ctx, time.Second) == nil {
						effects.TryPush(name)
					}
				})
			}
			work("victim", victim)
			work("bystander", bystander)
			r.sleep(2500 * time.Millisecond)
			kill()
			r.sleep(2 * time.Second)
			effects.Close()
			count := map[string]int{}
			for v, ok := effects.TryPop(); ok; v, ok = effects.TryPop() {
				count[v]++
			}
			r.check(count["victim"] == 2 && count["bystander"] == 4, "effects: %v", count)
		}},
		{"every kind of waiting ends with a kill", func(r *running) {
			victim, kill := r.Spawn("victim")
			after := rt.NewQueue[string](r, 0) // what blocking calls let through
			q, full := rt.NewQueue[int](victim, 0), rt.NewQueue[int](victim, 1)
			full.TryPush(1)
			f, m, s := rt.NewFuture[int](victim), rt.NewMutex(victim), rt.NewSemaphore(victim, 1)
			s.TryAcquire(1)
			blocking := []struct {
				name  string
				block func(ctx context.Context) error
			}{
				{"pop", func(ctx context.Context) error { _, err := q.Pop(ctx); return err }},
				{"push", func(ctx context.Context) error { return full.Push(ctx, 2) }},
				{"wait", func(ctx context.Context) error { _, err := f.Wait(ctx); return err }},
				{"any", func(ctx context.Context) error { _, err := rt.WaitAny(ctx, victim, q, f); return err }},
				{"lock", func(ctx context.Context) error {
					_ = m.Lock(ctx)
					return m.Lock(ctx)
				}},
				{"acquire", func(ctx context.Context) error { return s.Acquire(ctx, 1) }},
				{"sleep", func(ctx context.Context) error { return victim.Sleep(ctx, time.Hour) }},
				{"background", func(context.Context) error { return victim.Sleep(context.Background(), time.Hour) }},
				{"park", func(ctx context.Context) error { return victim.NewParker().Park(ctx) }},
			}
			for _, b := range blocking {
				victim.Go(b.name, func(ctx context.Context) {
					if err := b.block(ctx); err == nil {
						after.TryPush(b.name)
					}
				})
			}
			r.settle()
			kill()
			kill()
			r.sleep(2 * time.Hour)
			v, ok := after.TryPop()
			r.check(!ok, "%s returned without an error in a killed process", v)
			victim.Go("late", func(context.Context) { after.TryPush("late") })
			r.settle()
			_, ok = after.TryPop()
			r.check(!ok, "a killed process started a task")
		}},
		{"a wake-up is not spent on a killed waiter", func(r *running) {
			victim, kill := r.Spawn("victim")
			q := rt.NewQueue[int](r, 0)
			victim.Go("popper", func(ctx context.Context) { _, _ = q.Pop(ctx) })
			r.settle()
			r.Go("popper", func(ctx context.Context) { v, err := q.Pop(ctx); r.note("%d %v", v, err) })
			r.settle()
			kill()
			r.settle()
			q.TryPush(1)
			r.settle()
			r.expect("1 <nil>")
		}},
		{"randomness is there", func(r *running) {
			a, b := r.Rand().Uint64(), r.Rand().Uint64()
			r.check(a != b, "two draws are equal: %d", a)
		}},
	}
}
