package dir

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A key's segments, between its slashes, become names of directories and, the last, of a file. What no file system, or not every one, can
// use as a name is escaped, and a '%' that no two hexadecimal digits follow is the escape of something else:
//
//	%XX        a byte: of '%', of control characters, of "*:<>?\|, of a dot or space that ends the name, of the first letter of a Windows device (con, nul, com1 …)
//	%_         the empty segment
//	name%-     a directory that holds the rest of a segment too long for one name
//	name%=     the object "name" where "name" is also a directory, because keys that begin with "name/" exist
//
// The first three are functions of the key. The fourth depends on what else there is: an object moves aside when the directory is made, and stays there.
const (
	empty     = "%_"
	continued = "%-"
	beside    = "%="
)

// maxName is how many bytes of a segment go into one name; with the marks it stays below the 255 that file systems allow.
const maxName = 200

// components returns the file names, from the bucket down, of a key.
func components(key string) []string {
	var names []string
	for segment := range strings.SplitSeq(key, "/") {
		names = appendSegment(names, segment)
	}
	return names
}

func appendSegment(names []string, segment string) []string {
	if segment == "" {
		return append(names, empty)
	}
	for {
		n := cut(segment)
		if n == len(segment) {
			return append(names, escape(segment))
		}
		names = append(names, escape(segment[:n])+continued)
		segment = segment[n:]
	}
}

// cut returns how many bytes of segment fit one name when escaped, in whole characters.
func cut(segment string) int {
	size := 0
	for i, r := range segment {
		w := utf8.RuneLen(r)
		if r < utf8.RuneSelf && mustEscape(byte(r)) {
			w = len("%XX")
		}
		if size+w > maxName {
			return i
		}
		size += w
	}
	return len(segment)
}

func mustEscape(c byte) bool { return c < ' ' || c == 0x7f || strings.IndexByte(`%"*:<>?\|`, c) >= 0 }

func escape(piece string) string {
	var b strings.Builder
	device := isDevice(piece)
	for i := range len(piece) {
		c := piece[i]
		last := i == len(piece)-1 && (c == '.' || c == ' ')
		if mustEscape(c) || last || device && i == 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isDevice says whether Windows takes a name for a device, with or without an extension.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToLower(strings.TrimRight(base, " "))
	switch base {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	rest, ok := strings.CutPrefix(base, "com")
	if !ok {
		rest, ok = strings.CutPrefix(base, "lpt")
	}
	return ok && utf8.RuneCountInString(rest) == 1 && strings.Contains("0123456789¹²³", rest)
}

// unescape returns the piece of a segment that a name stands for, without its mark. ok is false for a name that escape would not have made.
func unescape(name string) (piece string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '%' {
			if i+2 >= len(name) {
				return "", false
			}
			if _, err := fmt.Sscanf(name[i+1:i+3], "%02X", &c); err != nil {
				return "", false
			}
			i += 2
		}
		b.WriteByte(c)
	}
	piece = b.String()
	return piece, utf8.ValidString(piece) && piece != "" && escape(piece) == name
}
