package causal

import (
	"context"

	"github.com/pinova-group/tidemark/run"
)

// CheckEarly checks a wrong engine: one whose rows claim to have been known earlier.
func CheckEarly(ctx context.Context, cfg Config, env run.Env, early int64) (*Result, error) {
	return check(ctx, cfg, env, early)
}
