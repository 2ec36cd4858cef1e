package app

import (
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestZeroConfigMeansDefaults(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Fatal(err)
	}
	c := Config{}.withDefaults()
	if c.Kafka != "127.0.0.1:9092" || c.AWS != "127.0.0.1:4566" || c.Data != "./freshet-data" || !*c.AcceptAnyRF || !*c.AutoCreateTopics {
		t.Fatalf("defaults %+v", c)
	}
	off := false
	if c := (Config{AcceptAnyRF: &off, DrainTimeout: time.Second}).withDefaults(); *c.AcceptAnyRF || c.DrainTimeout != time.Second {
		t.Fatalf("what is set was not kept: %+v", c)
	}
}

func TestValidateNamesEveryWrongKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		config Config
		keys   []string
	}{
		{"free ports", Config{Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}, nil},
		{"loopback of all kinds", Config{Kafka: "localhost:9092", AWS: "[::1]:4566", AWSTLS: "127.1.2.3:4567"}, nil},
		{"data is a file", Config{Data: file}, []string{"data"}},
		{"no ports", Config{Kafka: "localhost", AWS: "1.2.3.4:port", AWSTLS: "x:70000"}, []string{"kafka", "aws", "aws-tls"}},
		{"one address twice", Config{Kafka: "127.0.0.1:4566"}, []string{"aws"}},
		{"everything exposed", Config{Kafka: ":9092", AWS: "0.0.0.0:4566", AWSTLS: "host.example:443"}, []string{"kafka", "aws", "aws-tls"}},
		{"everything exposed on purpose", Config{Kafka: ":9092", AWS: "0.0.0.0:4566", AWSTLS: "host.example:443", Insecure: true}, nil},
		{"exposed as it should be", Config{AWSTLS: "0.0.0.0:443", Auth: AuthVerify, AccessKeys: []string{"AKID:hunter2"}}, nil},
		{"exposed with a signature and without TLS", Config{AWS: "0.0.0.0:443", Auth: AuthVerify, AccessKeys: []string{"AKID:hunter2"}}, []string{"aws"}},
		{"a listener with TLS", Config{KafkaListeners: []string{"SSL://127.0.0.1:9093"}}, nil},
		{"a listener with a name of its own", Config{KafkaListeners: []string{"in-1://127.0.0.1:9093"}, KafkaSecurityProtocols: []string{"IN-1:SSL"}}, nil},
		{"listeners alone", Config{Kafka: "none", KafkaListeners: []string{"SSL://127.0.0.1:9093"}}, nil},
		{"no listener", Config{Kafka: "none"}, []string{"kafka"}},
		{"no address and one advertised", Config{Kafka: "none", KafkaListeners: []string{"SSL://:0"}, Insecure: true, KafkaAdvertised: "a:1"}, []string{"kafka-advertised"}},
		{"listeners of one name", Config{KafkaListeners: []string{"PLAINTEXT://127.0.0.1:1", "SSL://127.0.0.1:2", "ssl://127.0.0.1:3"}}, []string{"kafka-listeners", "kafka-listeners"}},
		{"listeners that are none", Config{KafkaListeners: []string{"127.0.0.1:1", "a b://127.0.0.1:1", "SSL://x"}}, []string{"kafka-listeners", "kafka-listeners", "kafka-listeners"}},
		{"a listener at another's address", Config{KafkaListeners: []string{"SSL://127.0.0.1:9092"}}, []string{"kafka-listeners"}},
		{"a listener without protocol", Config{KafkaListeners: []string{"A://127.0.0.1:1"}}, []string{"kafka-security-protocols"}},
		{"unknown protocols", Config{KafkaListeners: []string{"A://127.0.0.1:1"}, KafkaSecurityProtocols: []string{"A:TLS", "B:SSL"}}, []string{"kafka-security-protocols", "kafka-security-protocols"}},
		{"an exposed listener", Config{KafkaListeners: []string{"SSL://:9093"}}, []string{"kafka-listeners"}},
		{"an exposed listener on purpose", Config{KafkaListeners: []string{"SSL://:9093"}, Insecure: true}, nil},
		{"an exposed listener that asks for certificates", Config{
			KafkaListeners: []string{"SSL://:9093"}, KafkaClientCertificates: []string{"SSL:required"}, TLSClientCA: file,
			KafkaPrincipalRules: "DEFAULT", KafkaAdvertisedListeners: []string{"SSL://a:1"},
		}, nil},
		{"an exposed listener that lets them be left out", Config{
			KafkaListeners: []string{"SSL://:9093"}, KafkaClientCertificates: []string{"SSL:requested"}, TLSClientCA: file,
		}, []string{"kafka-listeners"}},
		{"certificates without TLS", Config{
			KafkaListeners: []string{"A://127.0.0.1:1"}, KafkaSecurityProtocols: []string{"A:PLAINTEXT"}, KafkaClientCertificates: []string{"A:required"}, TLSClientCA: file,
		}, []string{"kafka-client-certificates"}},
		{"certificates of nobody", Config{
			KafkaListeners: []string{"SSL://127.0.0.1:1"}, KafkaClientCertificates: []string{"SSL:required"},
		}, []string{"tls-client-ca"}},
		{"an unknown word for certificates", Config{KafkaListeners: []string{"SSL://127.0.0.1:1"}, KafkaClientCertificates: []string{"SSL:yes"}}, []string{"kafka-client-certificates"}},
		{"files that nobody needs", Config{
			TLSCertificate: file, TLSKey: file, TLSClientCA: file, KafkaPrincipalRules: "DEFAULT",
		}, []string{"tls-certificate", "tls-client-ca", "kafka-principal-rules"}},
		{"files that are not there", Config{AWSTLS: "127.0.0.1:1", TLSCertificate: file + "1", TLSKey: file + "2"}, []string{"tls-certificate", "tls-key"}},
		{"a certificate without key", Config{AWSTLS: "127.0.0.1:1", TLSCertificate: file}, []string{"tls-certificate"}},
		{"a listener with passwords", Config{KafkaListeners: []string{"SASL_SSL://0.0.0.0:1"}, KafkaUsers: []string{"a:hunter2"}, KafkaSASLMechanisms: []string{"SASL_SSL:PLAIN+scram-sha-512"}}, nil},
		{"passwords without TLS", Config{KafkaListeners: []string{"SASL_PLAINTEXT://0.0.0.0:1"}}, []string{"kafka-listeners"}},
		{"passwords without TLS on loopback", Config{KafkaListeners: []string{"SASL_PLAINTEXT://127.0.0.1:1"}}, nil},
		{"mechanisms that are none", Config{
			KafkaListeners: []string{"SASL_SSL://127.0.0.1:1", "SSL://127.0.0.1:2"}, KafkaSASLMechanisms: []string{"SASL_SSL:PLAIN+PLAIN+GSSAPI", "SSL:PLAIN"},
		}, []string{"kafka-sasl-mechanisms", "kafka-sasl-mechanisms", "kafka-sasl-mechanisms"}},
		{"users that are none", Config{
			KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaUsers: []string{"a:hunter2", "a:hunter2", "hunter2", ":hunter2", "b:"},
		}, []string{"kafka-users", "kafka-users", "kafka-users", "kafka-users"}},
		{"users of no listener", Config{KafkaListeners: []string{"SSL://127.0.0.1:1"}, KafkaUsers: []string{"a:hunter2"}}, []string{"kafka-users"}},
		{"sessions too short and too long", Config{KafkaMaxReauth: time.Millisecond}, []string{"kafka-max-reauth"}},
		{"a listener with tokens", Config{KafkaListeners: []string{"SASL_SSL://0.0.0.0:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}, KafkaOAuthJWKS: "https://issuer.example/jwks"}, nil},
		{"tokens of nobody", Config{KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}}, []string{"kafka-oauth-jwks"}},
		{"tokens for no listener", Config{KafkaOAuthIssuer: "x"}, []string{"kafka-oauth-jwks"}},
		{"keys that are not there", Config{KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}, KafkaOAuthJWKS: file + "1"}, []string{"kafka-oauth-jwks"}},
		{"keys of anybody", Config{KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}, KafkaOAuthJWKS: "http://issuer.example/jwks"}, []string{"kafka-oauth-jwks"}},
		{"keys of this machine", Config{KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}, KafkaOAuthJWKS: "http://localhost/jwks", KafkaOAuthSkew: time.Minute}, nil},
		{"clocks too far apart", Config{KafkaOAuthSkew: time.Hour}, []string{"kafka-oauth-skew"}},
		{"tokens without signature on loopback", Config{KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}, KafkaOAuthUnsecured: true}, nil},
		{"tokens without signature", Config{KafkaListeners: []string{"SASL_SSL://0.0.0.0:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:OAUTHBEARER"}, KafkaOAuthUnsecured: true}, []string{"kafka-oauth-unsecured"}},
		{"a listener with signatures", Config{
			KafkaListeners: []string{"SASL_SSL://0.0.0.0:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:AWS_MSK_IAM+OAUTHBEARER"}, AccessKeys: []string{"AKID:hunter2"}, AccessKeyUsers: []string{"AKID:alice"},
		}, nil},
		{"signatures of nobody", Config{KafkaListeners: []string{"SASL_SSL://127.0.0.1:1"}, KafkaSASLMechanisms: []string{"SASL_SSL:AWS_MSK_IAM"}}, []string{"access-keys"}},
		{"users of no key", Config{Auth: AuthVerify, AccessKeys: []string{"a:hunter2"}, AccessKeyUsers: []string{"b:x", "a:", "a:y"}}, []string{"access-key-users", "access-key-users", "access-key-users"}},
		{"rules that are none", Config{KafkaPrincipalRules: "X"}, []string{"kafka-principal-rules"}},
		{
			"listeners advertised nowhere",
			Config{KafkaListeners: []string{"SSL://127.0.0.1:1"}, KafkaAdvertisedListeners: []string{"SSL://:1", "A://b:1", "b:1"}},
			[]string{"kafka-advertised-listeners", "kafka-advertised-listeners", "kafka-advertised-listeners"},
		},
		{"advertised to nowhere", Config{KafkaAdvertised: "0.0.0.0:9092"}, []string{"kafka-advertised"}},
		{"advertised without port", Config{KafkaAdvertised: "broker"}, []string{"kafka-advertised"}},
		{"advertised", Config{KafkaAdvertised: "broker:9092"}, nil},
		{"nobody can sign", Config{Auth: AuthVerify}, []string{"access-keys"}},
		{"keys that are not checked", Config{AccessKeys: []string{"a:b"}}, []string{"access-keys"}},
		{"keys that are none", Config{Auth: AuthVerify, AccessKeys: []string{"a", ":hunter2", "c:", "d:hunter2", "d:f"}}, []string{"access-keys", "access-keys", "access-keys", "access-keys"}},
		{"no policy", Config{KafkaPolicies: file, KafkaClusterARN: "x", KafkaUnknownIAM: "perhaps"}, []string{"kafka-unknown-iam", "kafka-cluster-arn", "kafka-policies"}},
		{"an answer to nothing", Config{KafkaUnknownIAM: UnknownAllow}, []string{"kafka-unknown-iam"}},
		{"super users of nothing", Config{KafkaSuperUsers: "User:a"}, []string{"kafka-super-users"}},
		{"super users", Config{KafkaACLs: ACLsOn, KafkaSuperUsers: " User:CN=a,O=b; User:c;"}, nil},
		{"super users that are none", Config{KafkaACLs: ACLsOpen, KafkaSuperUsers: "a;User:;User:b"}, []string{"kafka-super-users", "kafka-super-users"}},
		{"unknown words", Config{Auth: "maybe", KafkaACLs: "some", LogLevel: "loud", LogFormat: "xml"}, []string{"auth", "kafka-acls", "log-level", "log-format"}},
		{"numbers out of bounds", Config{DefaultPartitions: -1, MaxShards: -1, TailMemory: 1, DrainTimeout: -1}, []string{"default-partitions", "max-shards", "tail-memory", "drain-timeout"}},
	} {
		err := row.config.Validate()
		var keys []string
		for _, e := range unjoin(err) {
			var wrong *ConfigError
			if !errors.As(e, &wrong) || wrong.Wrong == "" || wrong.Remedy == "" {
				t.Fatalf("%s: %#v", row.name, e)
			}
			keys = append(keys, wrong.Key)
		}
		if !slices.Equal(keys, row.keys) {
			t.Errorf("%s: wrong are %v, want %v\n%v", row.name, keys, row.keys, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: shows a secret: %v", row.name, err)
		}
	}
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func TestSizesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "17b": 17, "64MiB": 64 << 20, "64m": 64 << 20, "1 GiB": 1 << 30, "5kb": 5000, "2TB": 2e12, " 3K ": 3 << 10,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q is %d, %v, want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5G", "9999999999G", "1 apple"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
	for s, want := range map[Size]string{0: "0B", 1000: "1000B", 64 << 20: "64MiB", 3 << 30: "3GiB", 1 << 40: "1TiB", 1025 << 10: "1025KiB"} {
		if got := s.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(s), got, want)
		}
	}
}

func TestFileNamesWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		name, text string
		values     map[string]string
		keys       []string
	}{
		{"empty", "", map[string]string{}, nil},
		{"comments", "# nothing\n", map[string]string{}, nil},
		{"values", "data: /x\npprof: true\ntail-memory: 1GiB\naccess-keys: [a:b, 'c:d']\n", map[string]string{"data": "/x", "pprof": "true", "tail-memory": "1GiB", "access-keys": "a:b,c:d"}, nil},
		{"unknown names", "date: x\nkafka: y\nport: 1\n", nil, []string{"date", "port"}},
		{"nested", "kafka: {port: 1}\n", nil, []string{"kafka"}},
		{"nested list", "access-keys: [[a]]\n", nil, []string{"access-keys"}},
		{"not YAML", "\t:", nil, []string{"config"}},
		{"no map", "- a\n", nil, []string{"config"}},
		{"twice", "data: a\ndata: b\n", nil, []string{"config"}},
		{"a second document", "data: a\n---\nkafka: b\n", nil, []string{"config"}},
		{"one document with its marks", "---\ndata: a\n...\n", map[string]string{"data": "a"}, nil},
		{
			"values of other kinds", "default-partitions: seven\ndrain-timeout: 5\npprof: perhaps\naccept-any-rf: maybe\ntail-memory: lots\nunknown: 1\n", nil,
			[]string{"accept-any-rf", "default-partitions", "drain-timeout", "pprof", "tail-memory", "unknown"},
		},
		{"yes", "insecure: yes\nauto-create-topics: No\n", map[string]string{"insecure": "yes", "auto-create-topics": "No"}, nil},
		{"nothing means the default", "default-partitions:\ntail-memory: ''\n", map[string]string{}, nil},
	} {
		path := filepath.Join(t.TempDir(), "freshet.yaml")
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		values, err := ReadFile(path)
		var keys []string
		for _, e := range unjoin(err) {
			var wrong *ConfigError
			if !errors.As(e, &wrong) {
				t.Fatalf("%s: %v", row.name, e)
			}
			keys = append(keys, wrong.Key)
		}
		if !slices.Equal(keys, row.keys) {
			t.Errorf("%s: wrong are %v, want %v: %v", row.name, keys, row.keys, err)
		}
		if err != nil {
			continue
		}
		if !maps.Equal(values, row.values) {
			t.Errorf("%s: values %v, want %v", row.name, values, row.values)
		}
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestFileIsReadNoFurtherThanItsBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse.yaml")
	if err := os.WriteFile(path, []byte("data: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil { // more than any machine's memory
		t.Fatal(err)
	}
	_, err := ReadFile(path)
	if wrong := (*ConfigError)(nil); !errors.As(err, &wrong) || wrong.Key != "config" || !strings.Contains(wrong.Wrong, "more than 1MiB") {
		t.Errorf("error %v", err)
	}
}

func TestNamesAreOneForFlagEnvironmentAndFile(t *testing.T) {
	names := Names()
	if !slices.Contains(names, "aws-tls") || slices.Contains(names, "") {
		t.Fatalf("names %v", names)
	}
	if got := Environment("aws-tls"); got != "FRESHET_AWS_TLS" {
		t.Fatal(got)
	}
}

func TestWelcomeCanBePasted(t *testing.T) {
	for _, unset := range []string{"AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(unset, "")
	}
	const variables = "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1\n"
	a := Addresses{Kafka: "127.0.0.1:9092", AWS: "http://127.0.0.1:4566", AWSTLS: "https://127.0.0.1:4567", Data: "/d", Objects: "/it's/objects"}
	text := a.Welcome()
	for _, want := range []string{
		"export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n", "export " + variables, "kcat -L -b 127.0.0.1:9092\n", `ls '/it'\''s/objects'`, "https://127.0.0.1:4567",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil || !strings.Contains(string(readme), variables) {
		t.Errorf("README does not export %s: %v", variables, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "mine")
	t.Setenv("AWS_REGION", "eu-west-1")
	if text := a.Welcome(); !strings.Contains(text, "  export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1\n") || strings.Contains(text, "any") {
		t.Errorf("what the environment says is said otherwise:\n%s", text)
	}
	t.Setenv("AWS_DEFAULT_REGION", "eu-west-1")
	if text := a.Welcome(); strings.Contains(text, "AWS_REGION") {
		t.Errorf("what the environment says is said again:\n%s", text)
	}
}

func TestKafkaClientsAreToldAnAddressToConnectTo(t *testing.T) {
	for _, row := range []struct {
		advertised, ip, want string
	}{
		{"", "127.0.0.1", "127.0.0.1:9092"},
		{"", "::1", "[::1]:9092"},
		{"broker.example:1", "0.0.0.0", "broker.example:1"},
	} {
		got, err := bootstrapAddress(row.advertised, &net.TCPAddr{IP: net.ParseIP(row.ip), Port: 9092})
		if err != nil || got != row.want {
			t.Errorf("%q, listening on %s: %s, %v, want %s", row.advertised, row.ip, got, err, row.want)
		}
	}
	for _, all := range []net.IP{net.IPv4zero, net.IPv6unspecified} {
		got, err := bootstrapAddress("", &net.TCPAddr{IP: all, Port: 9092})
		host, port, _ := net.SplitHostPort(got)
		if ip := net.ParseIP(host); err != nil || port != "9092" || ip == nil || ip.IsUnspecified() {
			t.Errorf("listening on %s: %s, %v", all, got, err)
		}
	}
}

func TestEndpointsCanBeReached(t *testing.T) {
	for ip, want := range map[string]string{"127.0.0.1": "http://127.0.0.1:4566", "::1": "http://[::1]:4566", "0.0.0.0": "http://127.0.0.1:4566", "::": "http://127.0.0.1:4566"} {
		if got := endpoint("http", &net.TCPAddr{IP: net.ParseIP(ip), Port: 4566}); got != want {
			t.Errorf("listening on %s: %s, want %s", ip, got, want)
		}
	}
}

func TestCertificatesBearTheirAddress(t *testing.T) {
	for address, want := range map[string]string{"": "[]", "127.0.0.1:1": "[]", "localhost:1": "[]", "10.1.2.3:1": "[10.1.2.3]", "node.example:1": "[node.example]"} {
		hosts, err := certificateHosts(address)
		if got := "[" + strings.Join(hosts, " ") + "]"; err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", address, got, err, want)
		}
	}
	for _, all := range []string{":1", "0.0.0.0:1", "[::]:1"} {
		if hosts, err := certificateHosts(all); err != nil || !slices.Contains(hosts, "127.0.0.1") {
			t.Errorf("%s: %v, %v", all, hosts, err)
		}
	}
}
