package principal

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// attribute is an AttributeTypeAndValue of RFC 5280, 4.1.2.4.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// keywords are the attribute types that RFC 2253, 2.3 names. All others are written as numbers, with their values in hexadecimal.
var keywords = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"0.9.2342.19200300.100.1.25": "DC",
	"0.9.2342.19200300.100.1.1":  "UID",
}

const tagUniversalString = 28

// texts are the ASN.1 types of a value that is written as text, its bytes taken for UTF-8 whatever the type says, as Java does.
var texts = []int{
	asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, asn1.TagGeneralString, asn1.TagBMPString, tagUniversalString,
}

// DistinguishedName writes the subject of a certificate, in DER, as Java's X500Principal.getName does: RFC 2253, most significant part last,
// without blanks, as CN=alice,OU=ops,O=example. It is what Apache Kafka calls a client with a certificate.
func DistinguishedName(subject []byte) (string, error) {
	var name []asn1.RawValue
	if rest, err := asn1.Unmarshal(subject, &name); err != nil {
		return "", fmt.Errorf("subject of a certificate: %w", err)
	} else if len(rest) > 0 {
		return "", errors.New("subject of a certificate: bytes follow it")
	}
	parts := make([]string, 0, len(name))
	for _, raw := range name {
		var set []attribute
		if rest, err := asn1.UnmarshalWithParams(raw.FullBytes, &set, "set"); err != nil || len(rest) > 0 {
			return "", errors.New("subject of a certificate: a part is no set of attributes")
		}
		values := make([]string, len(set))
		for i, a := range set {
			values[i] = a.text()
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	slices.Reverse(parts)
	return strings.Join(parts, ","), nil
}

func (a *attribute) text() string {
	word, known := keywords[a.Type.String()]
	if !known || a.Value.Class != asn1.ClassUniversal || !slices.Contains(texts, a.Value.Tag) {
		if !known {
			word = a.Type.String()
		}
		return word + "=#" + hex.EncodeToString(a.Value.FullBytes)
	}
	return word + "=" + escape(string(a.Value.Bytes))
}

// escape puts a backslash before what has a meaning in a name (RFC 2253, 2.4), and as Java before '=' and '#' anywhere, and blanks at the ends.
func escape(value string) string {
	var b strings.Builder
	inner := strings.Trim(value, " \r")
	lead := strings.Index(value, inner)
	for i, c := range value {
		switch {
		case c == 0:
			b.WriteString(`\00`)
		case strings.ContainsRune(`,=+<>#;"\`, c), i < lead, i >= lead+len(inner):
			b.WriteRune('\\')
			b.WriteRune(c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
