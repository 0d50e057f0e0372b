package conn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/conn"
)

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// freePort is an address where nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// refused pings and wants an error with these words in message, reason or remedy, soon.
func refused(t *testing.T, cfg *conn.Config, code string, words ...string) {
	t.Helper()
	began := time.Now()
	_, err := cfg.Ping(t.Context())
	if err == nil {
		t.Errorf("%s: no error", code)
		return
	}
	f := fault.From(err)
	text := f.Error() + "; " + f.Remedy
	if f.Code != code || f.Remedy == "" || strings.Contains(text, "hunter2") {
		t.Errorf("%s: is %s: %s", code, f.Code, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q is not in %s", code, w, text)
		}
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("%s: took %v", code, took)
	}
	t.Log(text)
}

func accepted(t *testing.T, cfg *conn.Config) (warnings []error) {
	t.Helper()
	warnings, err := cfg.Ping(t.Context())
	if err != nil {
		f := fault.From(err)
		t.Errorf("%v; %s", f, f.Remedy)
	}
	return warnings
}

func TestPing_SASL(t *testing.T) {
	for mechanism, theirs := range map[string]string{conn.Plain: "PLAIN", conn.Scram256: "SCRAM-SHA-256", conn.Scram512: "SCRAM-SHA-512"} {
		c := cluster(t, kfake.EnableSASL(), kfake.Superuser(theirs, "me", "hunter2"))
		at := func(user, password, mechanism string) *conn.Config {
			return &conn.Config{Brokers: c.ListenAddrs(), SASL: &conn.SASL{Mechanism: mechanism, User: user, Password: conn.Secret(password)}}
		}
		if w := accepted(t, at("me", "hunter2", mechanism)); len(w) > 0 {
			t.Error(w)
		}
		// kfake hangs up where Kafka says why.
		refused(t, at("me", "hunter22", mechanism), "broker_unreachable", c.ListenAddrs()[0], "sasl")
		refused(t, at("you", "hunter2", mechanism), "broker_unreachable", c.ListenAddrs()[0], "sasl")
		refused(t, &conn.Config{Brokers: c.ListenAddrs()}, "broker_unreachable", c.ListenAddrs()[0], "sasl")
	}
	c := cluster(t, kfake.EnableSASL())
	refused(t, &conn.Config{Brokers: c.ListenAddrs(), SASL: &conn.SASL{Mechanism: conn.OAuthBearer, Token: "hunter2"}}, "broker_denied", c.ListenAddrs()[0], "mechanism")
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	refused(t, &conn.Config{Brokers: c.ListenAddrs(), SASL: &conn.SASL{Mechanism: conn.Scram256, User: "me", Password: "hunter2"}}, "broker_denied", c.ListenAddrs()[0], "user and secret")
	c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp, nil, true
	})
	refused(t, &conn.Config{Brokers: c.ListenAddrs(), SASL: &conn.SASL{Mechanism: conn.Plain, User: "me", Password: "hunter2"}}, "broker_unreachable", c.ListenAddrs()[0], "remove sasl")
}

// A broker of the test takes these two mechanisms, which kfake does not know, at their
// handshake and keeps what the client sends to prove itself.
func TestPing_TokensAndAWS(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := cluster(t)
	var mechanism, proof string
	c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mechanism = req.(*kmsg.SASLHandshakeRequest).Mechanism
		return req.ResponseKind(), nil, true
	})
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		proof = string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if mechanism == "AWS_MSK_IAM" {
			resp.SASLAuthBytes = []byte("{}")
		}
		return resp, nil, true
	})
	at := func(s conn.SASL) *conn.Config { return &conn.Config{Brokers: c.ListenAddrs(), SASL: &s} }
	shows := func(want string) {
		t.Helper()
		if !strings.Contains(proof, want) {
			t.Errorf("%q is not in %q", want, proof)
		}
	}
	accepted(t, at(conn.SASL{Mechanism: conn.OAuthBearer, Token: "zeroth"}))
	shows("auth=Bearer zeroth\x01")
	file := at(conn.SASL{Mechanism: conn.OAuthBearer, TokenFile: token})
	accepted(t, file)
	shows("auth=Bearer first\x01")
	if err := os.WriteFile(token, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	accepted(t, file)
	shows("auth=Bearer second\x01")
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	refused(t, file, "broker_denied", token, "sasl.token_file")

	for _, name := range []string{"AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	refused(t, at(conn.SASL{Mechanism: conn.MSKIAM}), "broker_denied", "AWS_ACCESS_KEY_ID")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_REGION", "eu-west-1")
	accepted(t, at(conn.SASL{Mechanism: conn.MSKIAM}))
	shows("AKIDEXAMPLE")
	if strings.Contains(proof, "hunter2") {
		t.Error("the secret key left the process")
	}
}

func TestPing_TLS(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	tlsOf := func(ca *authority) *conn.TLS { return &conn.TLS{CAFile: ca.file} }
	server := ca.sign("server", net.IPv4(127, 0, 0, 1))

	c := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}}))
	addr := c.ListenAddrs()[0]
	accepted(t, &conn.Config{Brokers: c.ListenAddrs(), TLS: tlsOf(ca)})
	refused(t, &conn.Config{Brokers: c.ListenAddrs(), TLS: tlsOf(other)}, "broker_unreachable", addr, "ca_file")
	refused(t, &conn.Config{Brokers: c.ListenAddrs(), TLS: &conn.TLS{CAFile: ca.file, ServerName: "kafka.example.org"}}, "broker_unreachable", addr, "server_name")
	refused(t, &conn.Config{Brokers: c.ListenAddrs()}, "broker_unreachable", addr, "tls")

	named := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{ca.sign("kafka.example.org", nil)}}))
	accepted(t, &conn.Config{Brokers: named.ListenAddrs(), TLS: &conn.TLS{CAFile: ca.file, ServerName: "kafka.example.org"}})

	both := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool}))
	refused(t, &conn.Config{Brokers: both.ListenAddrs(), TLS: tlsOf(ca)}, "broker_unreachable", both.ListenAddrs()[0], "cert_file")
	ca.sign("client", nil)
	mine := tlsOf(ca)
	mine.CertFile, mine.KeyFile = filepath.Join(ca.dir, "client.pem"), filepath.Join(ca.dir, "client.key")
	accepted(t, &conn.Config{Brokers: both.ListenAddrs(), TLS: mine})
}

func TestPing_BrokerDown(t *testing.T) {
	down := freePort(t)
	refused(t, &conn.Config{Brokers: []string{down}}, "broker_unreachable", down, "nothing listens")
	refused(t, &conn.Config{Brokers: []string{"kafka.invalid:9092"}}, "broker_unreachable", "kafka.invalid:9092", "name")

	c := cluster(t)
	w := accepted(t, &conn.Config{Brokers: []string{down, c.ListenAddrs()[0]}})
	if len(w) != 1 || !strings.Contains(w[0].Error(), down) {
		t.Errorf("warnings %v", w)
	}
}

// A broker in clear waits for the rest of what it takes for the length of a request.
func TestPing_BrokerSilent(t *testing.T) {
	c := cluster(t)
	for _, cfg := range []*conn.Config{{Brokers: []string{silent(t)}}, {Brokers: c.ListenAddrs(), TLS: &conn.TLS{}}} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := cfg.Ping(ctx)
		cancel()
		if f := fault.From(err); err == nil || f.Code != "broker_unreachable" || !strings.Contains(f.Remedy, "in time") {
			t.Errorf("%v %+v", err, f)
		}
	}
}

// silent is an address that takes connections and never says anything.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// The broker answers, but names an address where it cannot be reached.
func TestPing_AdvertisedAddress(t *testing.T) {
	c := cluster(t)
	down := freePort(t)
	host, port, _ := net.SplitHostPort(down)
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		n, err := strconv.Atoi(port)
		b := kmsg.NewMetadataResponseBroker()
		b.Host, b.Port = host, int32(n)
		resp.Brokers = append(resp.Brokers, b)
		return resp, err, true
	})
	refused(t, &conn.Config{Brokers: c.ListenAddrs()}, "broker_unreachable", c.ListenAddrs()[0], down, "advertised.listeners")
}

func TestPing_Registry(t *testing.T) {
	brokers := cluster(t).ListenAddrs()
	at := func(r conn.Registry) *conn.Config { return &conn.Config{Brokers: brokers, Registry: &r} }
	reg := srfake.New()
	t.Cleanup(reg.Close)
	accepted(t, at(conn.Registry{URL: reg.URL()}))

	down := "http://" + freePort(t)
	refused(t, at(conn.Registry{URL: down}), "registry_unreachable", down, "nothing listens")
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	refused(t, at(conn.Registry{URL: page.URL}), "registry_unreachable", page.URL, "another service")

	api := srfake.NewRegistry().Handler()
	closed := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "me" || pass != "hunter2" {
			http.Error(w, `{"error_code":401,"message":"Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(closed.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, ca, "CERTIFICATE", closed.Certificate().Raw)
	trust := &conn.TLS{CAFile: ca}
	accepted(t, at(conn.Registry{URL: closed.URL, TLS: trust, User: "me", Password: "hunter2"}))
	refused(t, at(conn.Registry{URL: closed.URL, TLS: trust, User: "me", Password: "hunter22"}), "registry_denied", closed.URL, "registry.password")
	refused(t, at(conn.Registry{URL: closed.URL, User: "me", Password: "hunter2"}), "registry_unreachable", closed.URL, "ca_file")
}

func TestOptions_ClientWorks(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "t"))
	opts, err := (&conn.Config{Brokers: c.ListenAddrs()}).Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Error(err)
	}
	if id := fmt.Sprint(cl.OptValue(kgo.ClientID)); id != "tidemark" {
		t.Errorf("client id %s", id)
	}
}

// authority signs certificates; its own is in file.
type authority struct {
	t         *testing.T
	dir, file string
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	pool      *x509.CertPool
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.file = filepath.Join(a.dir, name+".pem")
	made := a.sign(name, nil)
	var err error
	a.key = made.PrivateKey.(*ecdsa.PrivateKey)
	if a.cert, err = x509.ParseCertificate(made.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// sign writes NAME.pem and NAME.key; the authority's own when it has none yet.
func (a *authority) sign(name string, ip net.IP) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: a.cert == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	raw, err2 := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	secret, err3 := x509.MarshalPKCS8PrivateKey(key)
	if err = errors.Join(err, err2, err3); err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, filepath.Join(a.dir, name+".pem"), "CERTIFICATE", raw)
	writePEM(a.t, filepath.Join(a.dir, name+".key"), "PRIVATE KEY", secret)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

func writePEM(t *testing.T, path, kind string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		t.Fatal(fmt.Errorf("write %s: %w", path, err))
	}
}
