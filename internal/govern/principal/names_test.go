package principal

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// javaNames are subjects and what X500Principal.getName of Java 17 makes of them.
var javaNames = map[string]string{
	"30303110300e060355040a13076578616d706c65310c300a060355040b13036f7073310e300c06035504031305616c696365":                                     `CN=alice,OU=ops,O=example`,
	"302c310a3008060355040a130178311e300b06035504031304612c2062300f060a0992268993f22c640101130163":                                             `CN=a\, b+UID=c,O=x`,
	"30393111300f060a0992268993f22c640119160164310e300c06035504030c05c3a92023313114301206092a864886f70d01090116056140622e63":                   `1.2.840.113549.1.9.1=#16056140622e63,CN=é \#1,DC=d`,
	"3024310b3009060355040613024445311530130603550403130c206c65616420747261696c20":                                                             `CN=\ lead trail\ ,C=DE`,
	"3042310a3008060355040713016c310a30080603550409130174310a30080603550408130173310f300d06035504030c06783d7922715c310b3009060355040513023132": `2.5.4.5=#13023132,CN=x\=y\"q\\,ST=s,STREET=t,L=l`,
	"3000": ``,
}

func TestDistinguishedNameIsJavas(t *testing.T) {
	for subject, want := range javaNames {
		der, err := hex.DecodeString(subject)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DistinguishedName(der); got != want || err != nil {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}

func TestDistinguishedNameOfBlanksAndZeros(t *testing.T) {
	for value, want := range map[string]string{"   ": `\ \ \ `, "a\x00b": `a\00b`, "": "", "\r x": "\\\r\\ x"} {
		if got := escape(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// Each row is what SslPrincipalMapper of Apache Kafka 4.3.1 says to the rules.
func TestRulesMapAsKafkas(t *testing.T) {
	for _, row := range []struct {
		rules string
		names [3]string // of Alice, Bob and Z; "" means that no rule is for the name
	}{
		{"", [3]string{"CN=Alice,OU=ops,O=e", "CN=Bob,O=a/b", "UID=Z"}},
		{"RULE:^CN=(.*?),OU=ops.*$/$1/U,RULE:^CN=(.*?),.*$/$1@x/L, DEFAULT", [3]string{"ALICE", "bob@x", "UID=Z"}},
		{`RULE:^CN=(\w+).*$/$1-$2-$11/`, [3]string{"Alice-$2-Alice1", "Bob-$2-Bob1", ""}},
		{`RULE:^CN=([^,]+),O=a\/b$/a\/$1\$/`, [3]string{"", "a/Bob$", ""}},
		{"DEFAULT,", [3]string{"CN=Alice,OU=ops,O=e", "CN=Bob,O=a/b", "UID=Z"}},
		{"RULE:^CN=(.*)$/$1/L,DEFAULT,RULE:x/y/", [3]string{"alice,ou=ops,o=e", "bob,o=a/b", "UID=Z"}},
	} {
		rules, err := ParseRules(row.rules)
		if err != nil {
			t.Errorf("%s: %v", row.rules, err)
			continue
		}
		for i, name := range []string{"CN=Alice,OU=ops,O=e", "CN=Bob,O=a/b", "UID=Z"} {
			got, err := rules.Map(name)
			if got != row.names[i] || errors.Is(err, ErrNoRule) != (row.names[i] == "") {
				t.Errorf("%s of %s: %q, %v, want %q", row.rules, name, got, err, row.names[i])
			}
		}
	}
}

func TestRulesThatAreNoneAreRefused(t *testing.T) {
	for rules, reason := range map[string]string{
		"RULE:^.*UID=([^,]+).*$/$1":            "replacement has no /",
		"RULE:abc":                             "pattern has no /",
		"X":                                    "neither DEFAULT",
		"RULE:a/b/LRULE:c/d/":                  "where a comma should be",
		"DEFAULT,RULE:(?=a)/b/":                "rule 2: pattern",
		"RULE:(a/b/":                           "missing closing )",
		"DEFAULTx":                             "where a comma should be",
		strings.Repeat("DEFAULT,", maxRules+1): "more than 100",
	} {
		if _, err := ParseRules(rules); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40s: %v, want %s", rules, err, reason)
		}
	}
}

func FuzzDistinguishedName(f *testing.F) {
	for subject := range javaNames {
		der, _ := hex.DecodeString(subject)
		f.Add(der)
	}
	f.Fuzz(func(_ *testing.T, der []byte) { _, _ = DistinguishedName(der) })
}

func FuzzRules(f *testing.F) {
	f.Add("RULE:^CN=(.*?),OU=ops.*$/$1/U,DEFAULT", "CN=a,OU=ops")
	f.Add(`RULE:a\/b/$10\$/L`, "a/b")
	f.Fuzz(func(t *testing.T, text, name string) {
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		if mapped, err := rules.Map(name); err != nil && mapped != "" {
			t.Errorf("%q and %v", mapped, err)
		}
	})
}
