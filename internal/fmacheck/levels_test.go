package fmacheck

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/cpu"
)

// TestGolden_SameBitsOnEveryInstructionSet runs the engine's golden test compiled for
// the oldest and for the newest instruction set of amd64 that this machine has (I1).
func TestGolden_SameBitsOnEveryInstructionSet(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("levels of instruction sets are chosen on amd64 only; the golden test itself runs here")
	}
	levels := []string{"v1"}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2 {
		levels = append(levels, "v3")
	} else {
		t.Log("this CPU has no FMA: v3 cannot run here")
	}
	for _, level := range levels {
		cmd := exec.Command("go", "test", "-count=1", "-run", "^TestGolden_", "./features")
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "GOAMD64="+level)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("GOAMD64=%s: %v\n%s", level, err, out)
		}
	}
}
