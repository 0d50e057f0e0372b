package stream

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Which member of the group a worker is, and who the others are.

// leave lets the other members of the group have our tasks now, and not after the session's
// timeout. With no others we stay: who starts in our slot then has them at once, where a
// broker lets the first member of an empty group wait.
func (w *worker) leave(ctx context.Context) {
	mine, others, err := w.members(ctx)
	if err == nil && mine == w.member && others > 0 {
		err = w.ask(func(cl *kgo.Client) error {
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID, m.InstanceID, m.Reason = w.member, new(w.instance()), new("told to end")
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group, req.Members = w.Name, append(req.Members, m)
			_, err := req.RequestWith(ctx, cl)
			return err
		})
	}
	if err != nil {
		w.Log.Warn("the group was not left; others have the tasks when the session has timed out", slog.Any("error", err))
	}
}

// mayJoin is ErrTaken when another worker has our place in the group since our last session:
// it is the newer one, and goes on. Before the first session we are.
func (w *worker) mayJoin(ctx context.Context) error {
	if taken, err := w.taken(ctx); err != nil || !taken {
		return err
	}
	// It may also be ourselves, in the answer to a join that we did not wait for: that member
	// sends no heartbeats, and goes.
	w.Log.Info("another member is in this slot; if it stays, it has it")
	sleep(ctx, sessionTimeout+time.Second)
	taken, err := w.taken(ctx)
	if err == nil && taken {
		err = ErrTaken
	}
	return err
}

// taken reports whether a member of the group has our slot that is not who we were last.
func (w *worker) taken(ctx context.Context) (bool, error) {
	if w.member == "" {
		return false, nil
	}
	mine, _, err := w.members(ctx)
	return mine != "" && mine != w.member, err
}

// members are who has our slot in the group, empty for nobody, and how many have other slots.
func (w *worker) members(ctx context.Context) (mine string, others int, err error) {
	err = w.ask(func(cl *kgo.Client) error {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{w.Name}
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, g := range resp.Groups {
			for _, m := range g.Members {
				if m.InstanceID != nil && *m.InstanceID == w.instance() {
					mine = m.MemberID
				} else {
					others++
				}
			}
		}
		return nil
	})
	return mine, others, err
}

// instance is the id of our slot, as a member and as a producer.
func (w *worker) instance() string { return w.Name + "-" + w.Slot }

// ask calls fn with a client of its own.
func (w *worker) ask(fn func(*kgo.Client) error) error {
	cl, err := kgo.NewClient(w.Options...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return fn(cl)
}
