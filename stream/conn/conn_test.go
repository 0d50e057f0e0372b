package conn_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/conn"
)

func parse(t *testing.T, text string) *conn.Config {
	t.Helper()
	c := new(conn.Config)
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheck_NamesKeyAndRemedyOfEachMistake(t *testing.T) {
	const b = "brokers: [kafka:9092]\n"
	for _, c := range []struct{ text, where, message, remedy string }{
		{"client_id: x", "brokers", "no broker", "list host:port"},
		{"brokers: [a:1, kafka]", "brokers[1]", `"kafka" has no port`, "kafka:9092"},
		{"brokers: ['']", "brokers[0]", "not host:port", "example.org:9092"},
		{"brokers: ['http://a:9092']", "brokers[0]", "not host:port", "without a scheme"},
		{"brokers: [':9092']", "brokers[0]", "not host:port", "example.org:9092"},
		{"brokers: ['a:b']", "brokers[0]", `"b" is not a port`, "1 to 65535"},
		{"brokers: ['a:70000']", "brokers[0]", "not a port", "9092"},
		{"brokers: ['me:hunter2@a:9092']", "brokers[0]", "a user stands", "sasl"},
		{b + "registry: {}", "registry.url", "not the URL", "http://"},
		{b + "registry: {url: 'registry:8081'}", "registry.url", "not the URL", "http://"},
		{b + "registry: {url: 'http://me:hunter2@r:8081'}", "registry.url", "a user stands", "registry.password"},
		{b + "registry: {url: 'http://r:80 81:hunter2'}", "registry.url", "not the URL", "http://"},
		{b + "registry: {url: 'http://r:8081', user: me, password: hunter2}", "registry.url", "sees the password", "https"},
		{b + "registry: {url: 'https://r:8081', user: me}", "registry.user", "go together", "both"},
		{b + "registry: {url: 'http://r:8081', tls: {}}", "registry.tls", "not https", "https"},
		{b + "registry: {url: 'https://r:8081', tls: {key_file: k}}", "registry.tls", "go together", "both"},
		{b + "tls: {cert_file: c}", "tls", "go together", "both"},
		{b + "sasl: {mechanism: scram-sha-265}", "sasl.mechanism", "not a mechanism", "scram-sha-256"},
		{b + "sasl: {mechanism: scram-sha-256, password: hunter2}", "sasl.user", "missing", "user"},
		{b + "sasl: {mechanism: scram-sha-512, user: me}", "sasl.password", "missing", "password"},
		{b + "sasl: {mechanism: plain, user: me, password: hunter2}", "tls", "sees the secret", "tls: {}"},
		{b + "tls: {}\nsasl: {mechanism: plain, user: me, password: hunter2, token: x}", "sasl.token", "only oauthbearer", "remove"},
		{b + "tls: {}\nsasl: {mechanism: oauthbearer}", "sasl.token", "one of them", "token_file"},
		{b + "tls: {}\nsasl: {mechanism: oauthbearer, token: hunter2, token_file: f}", "sasl.token", "one of them", "token_file"},
		{b + "tls: {}\nsasl: {mechanism: aws-msk-iam, user: me}", "sasl", "no user", "remove"},
		{b + "sasl: {mechanism: aws-msk-iam}", "tls", "sees the secret", "tls: {}"},
	} {
		cfg := parse(t, c.text)
		ps := cfg.Check()
		if len(ps) != 1 || ps[0].Where != c.where || !strings.Contains(ps[0].Message, c.message) || !strings.Contains(ps[0].Remedy, c.remedy) {
			t.Errorf("%s:\n%+v", c.text, ps)
		}
		_, err := cfg.Options()
		if f := fault.From(err); err == nil || f.Code != "connection_invalid" || f.Exit != fault.ExitUsage || len(f.Parts) != 1 {
			t.Errorf("%s: options %v", c.text, err)
		}
		if _, err := cfg.Ping(t.Context()); err == nil {
			t.Errorf("%s: is pinged", c.text)
		}
		if text := fmt.Sprint(ps, err); strings.Contains(text, "hunter2") {
			t.Errorf("%s: shows the password: %s", c.text, text)
		}
	}
}

func TestCheck_AllMistakesAtOnce(t *testing.T) {
	ps := parse(t, "brokers: [a, b]\ntls: {key_file: k}\nsasl: {mechanism: plain}\nregistry: {url: x}").Check()
	if len(ps) != 6 {
		t.Errorf("%+v", ps)
	}
}

func TestCheck_TakesWhatIsRight(t *testing.T) {
	for _, text := range []string{
		"brokers: [localhost:9092]",
		"brokers: ['[::1]:9092', '127.0.0.1:9093']\nsasl: {mechanism: plain, user: me, password: x}",
		"brokers: [kafka:9092]\nsasl: {mechanism: scram-sha-512, user: me, password: x}",
		"brokers: [kafka:9092]\ntls: {}\nsasl: {mechanism: aws-msk-iam}",
		"brokers: [kafka:9092]\ntls: {}\nsasl: {mechanism: oauthbearer, token_file: f}\nregistry: {url: 'https://r', user: me, password: x, tls: {}}",
		"brokers: [kafka:9092]\nregistry: {url: 'http://localhost:8081', user: me, password: x}",
		"brokers: [kafka:9092]\nregistry: {url: 'http://[::1]', user: me, password: x}",
	} {
		cfg := parse(t, text)
		if ps := cfg.Check(); len(ps) != 0 {
			t.Errorf("%s: %+v", text, ps)
		}
		if _, err := cfg.Options(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if cl, err := cfg.RegistryClient(); err != nil || (cl == nil) != (cfg.Registry == nil) {
			t.Errorf("%s: registry %v %v", text, cl, err)
		}
	}
}

func TestOptions_FilesOfTLS(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, where := range map[string]string{
		"{ca_file: " + dir + "/none.pem}":                     "tls.ca_file",
		"{ca_file: " + empty + "}":                            "tls.ca_file",
		"{cert_file: " + empty + ", key_file: " + empty + "}": "tls.cert_file, tls.key_file",
	} {
		_, err := parse(t, "brokers: [kafka:9092]\ntls: "+text).Options()
		if f := fault.From(err); err == nil || f.Where != where || f.Exit != fault.ExitUsage || f.Remedy == "" {
			t.Errorf("%s: %+v", text, f)
		}
		if _, err = parse(t, "brokers: [kafka:9092]\nregistry: {url: 'https://r', tls: "+text+"}").RegistryClient(); err == nil || fault.From(err).Where != "registry."+strings.ReplaceAll(where, ", ", ", registry.") {
			t.Errorf("registry: %s: %v", text, err)
		}
	}
}

func TestSecret_IsNeverPrinted(t *testing.T) {
	cfg := parse(t, "brokers: [kafka:9092]\ntls: {}\nsasl: {mechanism: plain, user: me, password: hunter2, token: hunter2}\nregistry: {url: 'https://r', user: me, password: hunter2}")
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %q", cfg.SASL, cfg.SASL, cfg.SASL, *cfg.SASL, *cfg.SASL), fmt.Sprintf("%+v %#v", cfg.Registry, *cfg.Registry),
		fmt.Sprintf("%x %X", cfg.SASL.Password, cfg.SASL.Token), string(asJSON), string(asYAML),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(strings.ToLower(text), "68756e746572") {
			t.Error(text)
		}
		if !strings.Contains(text, "***") && !strings.Contains(text, "2a2a2a") {
			t.Errorf("no sign of a secret: %s", text)
		}
	}
}
