package sweep

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
)

// Spec is the file of the swept view with the values of a variant as its defaults, the
// rest as it was written, comments too. It has the fingerprint of the variant.
func (r *Result) Spec(v *Variant) ([]byte, error) {
	lines := bytes.SplitAfter(r.src.Text, []byte("\n"))
	spec, _ := lang.Parse(r.src.Name, r.src.Text)
	for i, d := range r.Dims {
		for _, p := range spec.Params {
			if p.Name != d.Name {
				continue
			}
			at, old := p.Default.Pos, ""
			if at.Line == 0 || at.Line > len(lines) || at.Col < 1 {
				return nil, unwritable(d.Name)
			}
			line := string(lines[at.Line-1])
			rest := line[min(at.Col-1, len(line)):]
			old = rest[:len(rest)-len(strings.TrimLeft(rest, "-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"))]
			lines[at.Line-1] = []byte(line[:at.Col-1] + v.Values[i] + rest[len(old):])
		}
	}
	text := bytes.Join(lines, nil)
	again, problems := lang.Parse(r.src.Name, text)
	if len(problems) > 0 {
		return nil, unwritable(strings.Join(v.Values, " "))
	}
	for i, d := range r.Dims {
		for _, p := range again.Params {
			if p.Name == d.Name && p.Default.String() != v.Values[i] {
				return nil, unwritable(d.Name)
			}
		}
	}
	return text, nil
}

func unwritable(what string) error {
	return &fault.Error{Code: "emit_failed", Message: fmt.Sprintf("cannot write %s into the spec", what),
		Remedy: "write each default as a plain value on one line", Exit: fault.ExitFailed}
}
