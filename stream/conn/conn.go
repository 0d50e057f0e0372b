// Package conn turns the connection section of a config into options of the Kafka client
// and a client of the schema registry, and tells what helps when either does not answer.
package conn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pinova-group/tidemark/internal/fault"
)

// Config says where Kafka and the schema registry are and how to be let in.
type Config struct {
	// `host:port` of some brokers of the cluster; the others are asked for.
	Brokers []string `yaml:"brokers" must:"yes"`
	// Names this program in the logs and quotas of brokers.
	ClientID string `yaml:"client_id"`
	// Encrypts the connections to brokers, `{}` as the system trusts; left out: in clear.
	TLS *TLS `yaml:"tls"`
	// Says who we are; left out: nobody asks.
	SASL *SASL `yaml:"sasl"`
	// The schema registry; left out: there is none.
	Registry *Registry `yaml:"registry"`
}

// Registry is a schema registry that speaks Confluent's protocol.
type Registry struct {
	// `http` or `https`, with a path where it has one.
	URL  string `yaml:"url" must:"yes"`
	User string `yaml:"user"` // Left out: nobody asks.
	// Goes with `user`.
	Password Secret `yaml:"password"`
	// For https; left out: as the system trusts.
	TLS *TLS `yaml:"tls"`
}

// TLS is how a server and we prove who we are. All files are PEM; each may be empty.
type TLS struct {
	CAFile     string `yaml:"ca_file" default:"of the system"`           // PEM file of the authorities that sign the servers.
	CertFile   string `yaml:"cert_file"`                                 // PEM file of our certificate, where servers want one.
	KeyFile    string `yaml:"key_file"`                                  // PEM file of its key.
	ServerName string `yaml:"server_name" default:"host of the address"` // Name in the servers' certificates.
}

// The mechanisms of SASL.
const (
	Plain       = "plain"
	Scram256    = "scram-sha-256"
	Scram512    = "scram-sha-512"
	OAuthBearer = "oauthbearer"
	MSKIAM      = "aws-msk-iam" // credentials by the chain of AWS: environment, profile, role of the pod or machine
)

var mechanisms = []string{Plain, Scram256, Scram512, OAuthBearer, MSKIAM}

// SASL is one way to log in.
type SASL struct {
	// `plain`, `scram-sha-256`, `scram-sha-512`, `oauthbearer` or `aws-msk-iam` (credentials of the AWS default chain).
	Mechanism string `yaml:"mechanism" must:"yes"`
	User      string `yaml:"user"`       // Of plain and scram.
	Password  Secret `yaml:"password"`   // Of plain and scram.
	Token     Secret `yaml:"token"`      // Of oauthbearer: the token itself.
	TokenFile string `yaml:"token_file"` // Of oauthbearer: the file that holds the token, read again at each login.
}

// Secret is a text that is never printed: it shows itself as *** to fmt, YAML and JSON.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// timeout bounds the wait for one connection, and that for one broker's answer to a ping.
const timeout = 5 * time.Second

// Check lists all mistakes of the config, each with its key and what to write instead. It
// opens no file and no connection.
func (c *Config) Check() []fault.Part {
	var ps parts
	if len(c.Brokers) == 0 {
		ps.add("brokers", "no broker given", "list host:port of one or more brokers")
	}
	for i, b := range c.Brokers {
		ps.checkAddr("brokers["+strconv.Itoa(i)+"]", b)
	}
	ps.checkTLS("tls", c.TLS)
	if s := c.SASL; s != nil {
		ps.checkSASL(s)
		if c.TLS == nil && s.exposed() && slices.ContainsFunc(c.Brokers, remote) {
			ps.add("tls", "without tls everybody on the way sees the secret of sasl", "add tls: {}")
		}
	}
	if r := c.Registry; r != nil {
		ps.checkRegistry(r)
	}
	return ps
}

type parts []fault.Part

func (ps *parts) add(where, message, remedy string) {
	*ps = append(*ps, fault.Part{Where: where, Message: message, Remedy: remedy})
}

func (ps *parts) checkAddr(where, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, nerr := strconv.Atoi(port)
	switch {
	case strings.Contains(addr, "@"): // what may be a password is not repeated
		ps.add(where, "a user stands in the address", "write host:port here, and the user in sasl")
	case err != nil && addr != "" && !strings.Contains(addr, ":"):
		ps.add(where, fmt.Sprintf("%q has no port", addr), "write "+addr+":9092")
	case err != nil || host == "" || strings.Contains(addr, "/"):
		ps.add(where, fmt.Sprintf("%q is not host:port", addr), "write it like kafka-1.example.org:9092, without a scheme")
	case nerr != nil || n < 1 || n > 65535:
		ps.add(where, fmt.Sprintf("%q is not a port", port), "write a number from 1 to 65535; Kafka's own is 9092")
	}
}

func (ps *parts) checkTLS(where string, t *TLS) {
	if t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		ps.add(where, "cert_file and key_file go together", "give both, or neither")
	}
}

func (ps *parts) checkSASL(s *SASL) {
	switch s.Mechanism {
	case Plain, Scram256, Scram512:
		if s.User == "" {
			ps.add("sasl.user", "missing", s.Mechanism+" needs a user")
		}
		if s.Password == "" {
			ps.add("sasl.password", "missing", s.Mechanism+" needs a password")
		}
	case OAuthBearer, MSKIAM:
		if s.User != "" || s.Password != "" {
			ps.add("sasl", s.Mechanism+" has no user and password", "remove them")
		}
	default:
		ps.add("sasl.mechanism", fmt.Sprintf("%q is not a mechanism", s.Mechanism), fault.DidYouMean(s.Mechanism, mechanisms))
		return
	}
	one := (s.Token == "") != (s.TokenFile == "")
	none := s.Token == "" && s.TokenFile == ""
	switch {
	case s.Mechanism == OAuthBearer && !one:
		ps.add("sasl.token", "oauthbearer needs a token or a token_file, one of them", "name a token_file when tokens are renewed: it is read again at each login")
	case s.Mechanism != OAuthBearer && !none:
		ps.add("sasl.token", "only oauthbearer has a token", "remove it, or set mechanism: oauthbearer")
	}
}

func (ps *parts) checkRegistry(r *Registry) {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		ps.add("registry.url", "not the URL of a schema registry", "write it like http://registry.example.org:8081")
	case u.User != nil:
		ps.add("registry.url", "a user stands in the URL", "write it in registry.user and registry.password")
	case r.TLS != nil && u.Scheme != "https":
		ps.add("registry.tls", "the URL is not https", "write https in registry.url, or remove registry.tls")
	case r.Password != "" && u.Scheme != "https" && remote(u.Host):
		ps.add("registry.url", "without https everybody on the way sees the password", "write https")
	}
	if (r.User == "") != (r.Password == "") {
		ps.add("registry.user", "user and password go together", "give both, or neither")
	}
	ps.checkTLS("registry.tls", r.TLS)
}

// exposed tells whether who listens on the way can log in with what was sent.
func (s *SASL) exposed() bool {
	return s.Mechanism == Plain || s.Mechanism == OAuthBearer || s.Mechanism == MSKIAM
}

// remote tells whether an address, with a port or without, is not on this machine.
func remote(addr string) bool {
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

func (c *Config) check() error {
	ps := c.Check()
	if len(ps) == 0 {
		return nil
	}
	return &fault.Error{Code: "connection_invalid", Message: "the connection to Kafka is not described well", Exit: fault.ExitUsage, Parts: ps}
}

// Options are what a Kafka client needs to connect; what it then does is up to others.
// It reads the files of TLS.
func (c *Config) Options() ([]kgo.Opt, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	id := c.ClientID
	if id == "" {
		id = "tidemark"
	}
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(id), kgo.DialTimeout(timeout)}
	if c.TLS != nil {
		t, err := c.TLS.config("tls")
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL.mechanism()))
	}
	return opts, nil
}

// RegistryClient makes the client of the schema registry; nil when there is none. It
// opens no connection.
func (c *Config) RegistryClient() (*sr.Client, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r := c.Registry
	if r == nil {
		return nil, nil
	}
	opts := []sr.ClientOpt{sr.UserAgent("tidemark"), sr.URLs(r.URL)}
	if r.User != "" {
		opts = append(opts, sr.BasicAuth(r.User, string(r.Password)))
	}
	if r.TLS != nil {
		t, err := r.TLS.config("registry.tls")
		if err != nil {
			return nil, err
		}
		opts = append(opts, sr.DialTLSConfig(t))
	}
	return sr.NewClient(opts...)
}

func (t *TLS) config(where string) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fileFault(where+".ca_file", t.CAFile, err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fileFault(where+".ca_file", t.CAFile, errors.New("no certificate in it; PEM is wanted"))
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fileFault(where+".cert_file, "+where+".key_file", t.CertFile, err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

func fileFault(where, path string, err error) error {
	return &fault.Error{Code: "connection_invalid", Message: "cannot use " + path, Where: where, Why: err.Error(),
		Remedy: "name a PEM file that this user may read; paths are relative to the working folder", Exit: fault.ExitUsage, Cause: err}
}

func (s *SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case Plain:
		return plain.Auth{User: s.User, Pass: string(s.Password)}.AsMechanism()
	case Scram256:
		return scram.Auth{User: s.User, Pass: string(s.Password)}.AsSha256Mechanism()
	case Scram512:
		return scram.Auth{User: s.User, Pass: string(s.Password)}.AsSha512Mechanism()
	case OAuthBearer:
		return oauth.Oauth(s.token)
	default:
		return aws.ManagedStreamingIAM(awsCredentials)
	}
}

func (s *SASL) token(context.Context) (oauth.Auth, error) {
	if s.TokenFile == "" {
		return oauth.Auth{Token: string(s.Token)}, nil
	}
	text, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return oauth.Auth{}, noSecret("cannot read the token", "see sasl.token_file and who may read it", err)
	}
	return oauth.Auth{Token: strings.TrimSpace(string(text))}, nil
}

func awsCredentials(ctx context.Context) (aws.Auth, error) {
	conf, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Auth{}, noSecret("cannot read the configuration of AWS", "see AWS_PROFILE and ~/.aws/config", err)
	}
	cred, err := conf.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Auth{}, noSecret("no credentials of AWS found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, or give the machine a role", err)
	}
	return aws.Auth{AccessKey: cred.AccessKeyID, SecretKey: cred.SecretAccessKey, SessionToken: cred.SessionToken, UserAgent: "tidemark"}, nil
}

func noSecret(message, remedy string, err error) error {
	return &fault.Error{Code: "broker_denied", Message: message, Why: err.Error(), Remedy: remedy, Exit: fault.ExitDenied, Cause: err}
}
