package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/run"
)

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "version, commit, Go, engine semantics, build flags",
		Long:    "version prints what this binary is. Two binaries with the same semantics number give the same bits.",
		Example: "  tidemark version\n  tidemark version --json",
		Args:    exactly(0, ""),
		RunE:    func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	info := build()
	if a.json {
		b, err := json.Marshal(info)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s\n", b)
		return err
	}
	_, err := fmt.Fprintf(a.out, "tidemark %s (commit %s)\n%s %s/%s, semantics %d, flags: %s\n",
		info.Version, info.Commit, info.Go, info.OS, info.Arch, info.Semantics, info.Flags)
	return err
}

type buildInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	Go        string `json:"go"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	Semantics int    `json:"semantics"`
	Flags     string `json:"flags"`
}

func build() buildInfo {
	b := buildInfo{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Semantics: run.Semantics()}
	var flags []string
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			switch {
			case s.Key == "vcs.revision" && commit == "unknown":
				b.Commit = s.Value
			case strings.HasPrefix(s.Key, "-") && s.Key != "-ldflags", s.Key == "CGO_ENABLED", s.Key == "GOAMD64", s.Key == "GOARM64":
				flags = append(flags, s.Key+"="+s.Value)
			}
		}
	}
	b.Flags = strings.Join(flags, " ")
	return b
}
