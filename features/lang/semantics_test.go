package lang

import "testing"

// What this version runs has a semantics number, so that a change of it can be told (F16).
func TestSemantics_CoverWhatRuns(t *testing.T) {
	for _, name := range functionNames(0, true) {
		if name == "if" || name == "decimal" || macros[name] != nil { // part of "number", or of others
			continue
		}
		if Semantics[name] < 1 {
			t.Errorf("%s has no number", name)
		}
	}
	for name, n := range Semantics {
		if n < 1 {
			t.Errorf("%s has number %d", name, n)
		}
	}
}

func TestUnit_ReadsWhatItPrints(t *testing.T) {
	for q := -3; q <= 3; q++ {
		for b := -3; b <= 3; b++ {
			for s := -2; s <= 2; s++ {
				u := unit{q, b, s, ""}
				if back := parseUnit(u.String()); back != u {
					t.Errorf("%v prints %q, read as %v", u, u.String(), back)
				}
			}
		}
	}
}

func TestParseNumber_IsExact(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1.50": "1.5", "10bps": "0.001", "0.5bps": "0.00005", "9223372036854775807": "9223372036854775807",
		"0.000000000000000001": "0.000000000000000001", "9.223372036854775807": "9.223372036854775807", "100000bps": "10",
	} {
		d, err := parseNumber(text)
		if err != nil || decText(d) != want {
			t.Errorf("%s is %s %v, want %s", text, decText(d), err, want)
		}
	}
	for _, text := range []string{"9223372036854775808", "0.0000000000000000001", "0.000000000000001bps", "10.000000000000000000"} {
		if d, err := parseNumber(text); err == nil {
			t.Errorf("%s is %v", text, d)
		}
	}
}
