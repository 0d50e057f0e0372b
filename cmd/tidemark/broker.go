package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
)

func newBrokerCmd(a *app) *cobra.Command {
	var dir, listen, registry string
	cmd := &cobra.Command{
		Use: "broker --dir DIR", Short: "a Kafka broker and schema registry for trial, until Ctrl-C", Args: exactly(0, ""),
		Long: `broker runs one Kafka node and one schema registry until Ctrl-C or SIGTERM, prints their addresses, and keeps
topics, offsets and schemas in a folder. It is for trying things out: any Kafka client and any client of Confluent's
registry works with it, transactions included, and killed at any moment it has what was committed.

It is not for what must not be lost: one node, reached from this machine only, no forcing to disk (a power cut may
lose the newest), no TLS, no login, no deletion by age, no compaction. Take a real Kafka for that.`,
		Example: "  tidemark broker --dir data/broker\n  tidemark broker --dir data/broker --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return fault.Usage("flag_missing", "no folder for the data", "tidemark broker --dir data/broker")
			}
			opt := broker.Options{Warn: a.warn}
			var err error
			if opt.Port, err = loopbackPort("--listen", listen); err != nil {
				return err
			}
			if opt.RegistryPort, err = loopbackPort("--registry-listen", registry); err != nil {
				return err
			}
			collectLater()
			b, err := broker.Start(dir, opt)
			if err != nil {
				return err
			}
			if err := a.brokerStarted(b, dir); err != nil {
				_ = b.Close()
				return err
			}
			select {
			case <-cmd.Context().Done():
			case <-b.Failed():
			}
			return b.Close()
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "folder of the data; made when missing")
	f.StringVar(&listen, "listen", "127.0.0.1:9092", "address of the broker on this machine; port 0 is a free one")
	f.StringVar(&registry, "registry-listen", "127.0.0.1:8081", "address of the schema registry on this machine; port 0 is a free one")
	return cmd
}

func (a *app) brokerStarted(b *broker.Broker, dir string) error {
	if a.json {
		return a.printJSON(map[string]string{"broker": b.Addr(), "registry": b.RegistryURL(), "dir": dir})
	}
	if err := a.print(fmt.Sprintf("broker    %s\nregistry  %s\ndata      %s\n", b.Addr(), b.RegistryURL(), dir)); err != nil {
		return err
	}
	a.say("for trial: one node, this machine only, a power cut may lose the newest; Ctrl-C ends it\n")
	return nil
}

// loopbackPort reads an address of this machine. Brokers tell their clients where they
// are, and the embedded one can only say 127.0.0.1.
func loopbackPort(flag, addr string) (int, error) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil {
		return 0, fault.Usage("flag_invalid", fmt.Sprintf("%s cannot be %q", flag, addr), "write it like 127.0.0.1:9092")
	}
	if host != "127.0.0.1" && host != "localhost" {
		return 0, fault.Usage("flag_invalid", fmt.Sprintf("%s cannot be %q: it serves this machine only", flag, addr), "write 127.0.0.1:"+port+", or run a real Kafka for other machines")
	}
	return int(n), nil
}
