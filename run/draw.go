package run

import (
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run/picture"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// drawn is a Writer whose rows are gathered for a picture, too.
type drawn struct {
	rowfile.Writer
	picture *picture.Picture
}

func (d drawn) Write(b *rowfile.Batch) error {
	d.picture.Add(b)
	return d.Writer.Write(b)
}

// openPicture begins the picture of the rows, if one is asked for.
func (j *job) openPicture(w rowfile.Writer, s *rowfile.Schema) (rowfile.Writer, error) {
	if j.cfg.Picture == "" {
		if len(j.cfg.Draw) > 0 {
			return nil, fault.Usage("flag_missing", "--draw without --picture", "name the file: --picture rows.svg")
		}
		return w, nil
	}
	if !strings.HasSuffix(strings.ToLower(j.cfg.Picture), ".svg") {
		return nil, fault.Usage("output_format", "a picture is an .svg file", "end its name in .svg")
	}
	p, err := picture.New(s, j.cfg.Draw)
	if err != nil {
		return nil, fault.Usage("feature_unknown", err.Error(), "")
	}
	if j.files.svg, err = rowfile.CreateFile(j.cfg.Picture); err != nil {
		return nil, err
	}
	j.files.picture, j.files.title = p, j.plan.Outputs()[j.view].Name
	return drawn{w, p}, nil
}
