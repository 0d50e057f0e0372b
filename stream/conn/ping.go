package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pinova-group/tidemark/internal/fault"
)

// Ping connects to every broker that the config names, to every one that the cluster then
// names, since all later work goes to those addresses, and to the schema registry. The
// error tells who does not answer and what helps. When some of several named brokers are
// down, the others are enough: those faults are warnings.
func (c *Config) Ping(ctx context.Context) (warnings []error, err error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	var first string // the first broker that answers,
	var all []string // and what it calls the brokers
	for _, addr := range c.Brokers {
		named, err := pingBroker(ctx, opts, addr)
		switch {
		case err != nil:
			warnings = append(warnings, c.brokerFault(addr, err))
		case first == "":
			first, all = addr, named
		}
	}
	if first == "" {
		return nil, warnings[0]
	}
	for _, addr := range all {
		if slices.Contains(c.Brokers, addr) {
			continue
		}
		if _, err := pingBroker(ctx, opts, addr); err != nil {
			f := c.brokerFault(addr, err)
			f.Message = "broker " + first + " calls a broker of the cluster " + addr + ", which does not answer"
			f.Remedy = "set advertised.listeners of the brokers to addresses that can be reached from here"
			return warnings, f
		}
	}
	return warnings, c.pingRegistry(ctx)
}

// pingBroker asks one broker for the addresses of all of them.
func pingBroker(ctx context.Context, opts []kgo.Opt, addr string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.SeedBrokers(addr))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, b := range resp.(*kmsg.MetadataResponse).Brokers {
		all = append(all, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	}
	return all, nil
}

func (c *Config) pingRegistry(ctx context.Context) error {
	cl, err := c.RegistryClient()
	if err != nil || cl == nil {
		return err
	}
	if _, err = cl.Subjects(ctx); err == nil {
		return nil
	}
	f := &fault.Error{Code: "registry_unreachable", Message: "schema registry " + c.Registry.URL + " does not answer", Why: err.Error(),
		Remedy: connRemedy(err), Exit: fault.ExitFailed, Cause: err}
	if re, ok := errors.AsType[*sr.ResponseError](err); ok && (re.StatusCode == http.StatusUnauthorized || re.StatusCode == http.StatusForbidden) {
		f.Code, f.Exit = "registry_denied", fault.ExitDenied
		f.Message, f.Remedy = "schema registry "+c.Registry.URL+" does not let us in", "see registry.user and registry.password"
	} else if f.Remedy == "" {
		f.Remedy = "see registry.url: another service may be there"
	}
	return f
}

// brokerFault words why a broker did not answer.
func (c *Config) brokerFault(addr string, err error) *fault.Error {
	f := &fault.Error{Code: "broker_unreachable", Message: "broker " + addr + " does not answer", Why: err.Error(), Exit: fault.ExitFailed, Cause: err}
	own, isOwn := errors.AsType[*fault.Error](err)
	switch {
	case isOwn: // before anything was sent: no token, no credentials
		return own
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism):
		f.Code, f.Exit = "broker_denied", fault.ExitDenied
		f.Message = "broker " + addr + " does not let us in"
		f.Remedy = "see sasl: mechanism, user and secret must be those of the broker"
	case errors.Is(err, kerr.IllegalSaslState):
		f.Remedy = "the port wants no login: remove sasl, or take the port that wants it"
	case hangsUp(err) && c.SASL != nil:
		f.Remedy = "it hangs up: see sasl (mechanism, user, secret), and whether the port wants tls"
	case hangsUp(err):
		f.Remedy = "it hangs up: the port may want sasl, or tls is on one side only, or the server is not Kafka"
	default:
		f.Remedy = connRemedy(err)
	}
	return f
}

func hangsUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// connRemedy tells what helps against an error of the network or of TLS; "" for others.
func connRemedy(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, clear := errors.AsType[tls.RecordHeaderError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	silent, isNet := errors.AsType[net.Error](err)
	switch {
	case dns:
		return "the name does not resolve: see its spelling and the name server"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: see host and port, and that the server runs"
	case untrusted:
		return "set ca_file of tls to the authority that signed the server's certificate, or server_name to the name that is in it"
	case clear:
		return "the port is not one of TLS: take another port, or remove tls"
	case isOp && op.Op == "remote error": // an alert of TLS
		return "the server refuses our side of TLS: it may want a certificate; see cert_file and key_file of tls"
	case errors.Is(err, context.DeadlineExceeded), isNet && silent.Timeout():
		return "no answer in time: see the address and firewalls; tls on one side only may look like this, too"
	}
	return ""
}
