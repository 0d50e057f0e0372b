package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/internal/fault"
)

const pageURL = "https://github.com/pinova-group/tidemark/blob/main/docs/"

const firstSteps = `Tidemark turns exchange events into features.

Try
  tidemark demo                                 simulate a market, compute bars, draw them
  tidemark spec list                            the views that are shipped
Run
  tidemark run --spec trade_bars_1m --input FILE    views over event files
  tidemark sweep SPEC --input FILE                  a family of views in one pass, compared
  tidemark simulate                             a deterministic market with known truth
  tidemark lake import --lake DIR --input FILE  events into tables that other tools read
  tidemark topics plan                          the Kafka topics that tidemark.yaml wants
  tidemark broker --dir DIR                     a Kafka broker and schema registry for trial
  tidemark play --input FILE                    recorded events into Kafka as if they came now
  tidemark apply                                other views in a stream that runs, from an instant on
  tidemark stream --state DIR                   the streaming jobs: raw to processed to feature topics
Inspect
  tidemark data inspect FILE                    what is in a file: kinds, times, gaps, disorder
  tidemark spec show trade_bars_1m              columns, types, lookback of a view
  tidemark explain trade_bars_1m TIME --input FILE  where a number comes from
  tidemark spec graph trade_bars_1h -o plan.svg     draw the plan
  tidemark dirty --lake DIR                     rows of views that late events have made stale
  tidemark verify VIEW --lake DIR               rows of a view held to history, hour by hour
Administer
  tidemark schedule                             repairs and verifications when they are due
  tidemark completion bash                      completion for bash, zsh, fish, powershell
  tidemark version                              version, commit, engine semantics
  tidemark help pages                           formats, times, exit codes

Every command explains itself: tidemark COMMAND --help
`

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if .HasExample}}Examples:
{{.Example | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

const usageTemplate = `Usage:{{if and .Runnable (not .HasAvailableSubCommands)}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $g := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $g.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

Commands:{{range $cmds}}{{if (and (eq .GroupID "") .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{with index .Annotations "page"}}

More: {{.}}{{end}}
`

// newRoot builds the command tree.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "tidemark", Short: "Tidemark turns exchange events into features",
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			if what, _ := cmd.Flags().GetBool("version"); what {
				return a.printVersion()
			}
			_, err := fmt.Fprint(a.out, firstSteps)
			return err
		},
	}
	root.Flags().Bool("version", false, "what tidemark version prints")
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(flagError)
	pf := root.PersistentFlags()
	pf.BoolVar(&a.json, "json", false, "print JSON: one object, or JSON lines for rows and progress; errors too")
	pf.StringVar(&a.color, "color", "auto", "colours: auto, always or never (NO_COLOR is respected)")
	pf.StringVar(&a.config, "config", "", "config `FILE` (default: $TIDEMARK_CONFIG, or tidemark.yaml in the working folder)")
	pf.BoolVar(&a.debug, "debug", false, "print the chain of causes of an error")
	_ = pf.MarkHidden("debug")
	root.AddGroup(
		&cobra.Group{ID: "try", Title: "Try"}, &cobra.Group{ID: "run", Title: "Run"},
		&cobra.Group{ID: "inspect", Title: "Inspect"}, &cobra.Group{ID: "administer", Title: "Administer"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("try", newDemoCmd(a))
	add("run", newRunCmd(a), newSweepCmd(a), newSimulateCmd(a), newLakeCmd(a), newBackfillCmd(a), newTopicsCmd(a), newPlayCmd(a), newStreamCmd(a), newApplyCmd(a), newSinkCmd(a), newReadCmd(a), newBrokerCmd(a))
	add("inspect", newDataCmd(a), newSpecCmd(a), newExplainCmd(a), newDirtyCmd(a), newVerifyCmd(a))
	add("administer", newScheduleCmd(a), newVersionCmd(a))
	root.AddCommand(helpPages()...)
	root.SetHelpCommand(newHelpCmd())
	root.SetHelpCommandGroupID("administer")
	root.SetCompletionCommandGroupID("administer")
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short = "completion for bash, zsh, fish and powershell, with real values"
		}
	}
	rootHelp(a, root)
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		return oneOf("--color", a.color, "auto", "always", "never")
	}
	return root
}

// rootHelp makes tidemark --help print what tidemark alone does, and the flags.
func rootHelp(a *app, root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd != root {
			help(cmd, args)
			return
		}
		_, _ = fmt.Fprintf(a.out, "%s\nFlags of every command:\n%s", firstSteps, root.PersistentFlags().FlagUsages())
	})
}

// newHelpCmd is help of a command or page: tidemark help spec check.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|PAGE]", Short: "help of a command, or a page such as formats",
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.Root()
			for _, w := range args {
				var names []string
				var next *cobra.Command
				for _, c := range at.Commands() {
					if !c.Hidden {
						names = append(names, c.Name())
					}
					if c.Name() == w {
						next = c
					}
				}
				if next == nil {
					return fault.Usage("help_unknown", fmt.Sprintf("no help on %q", w), fault.DidYouMean(w, names))
				}
				at = next
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				names = append(names, c.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// parent is a command that only holds others.
func parent(use, short, example string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
}

func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	return fault.Usage("command_unknown", fmt.Sprintf("unknown command %q for %s", word, cmd.CommandPath()), fault.DidYouMean(word, names))
}

// flagError words mistakes in flags: the nearest flag, or what its value must be.
func flagError(cmd *cobra.Command, err error) error {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	msg := err.Error()
	if word, ok := strings.CutPrefix(msg, "unknown flag: "); ok {
		remedy := cmd.CommandPath() + " --help lists them"
		if n := fault.Nearest(word, names); n != "" {
			remedy = "did you mean " + n + "?"
		}
		return &fault.Error{Code: "flag_unknown", Message: "unknown flag " + word, Remedy: remedy, Exit: fault.ExitUsage, Cause: err}
	}
	return &fault.Error{Code: "flag_invalid", Message: msg, Remedy: cmd.CommandPath() + " --help", Exit: fault.ExitUsage, Cause: err}
}

// oneOf checks a flag that takes one of some words.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return fault.Usage("flag_invalid", fmt.Sprintf("%s cannot be %q", flag, value), fault.DidYouMean(value, words))
}

// exactly checks the number of arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return fault.Usage("argument_missing", "missing "+what, cmd.UseLine())
		case len(args) > n:
			return fault.Usage("argument_extra", fmt.Sprintf("unexpected argument %q", args[n]), cmd.UseLine())
		}
		return nil
	}
}

func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return fault.Usage("argument_missing", "missing "+what, cmd.UseLine())
		}
		return nil
	}
}
