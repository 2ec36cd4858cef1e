package app

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/service/msk"
)

// portRange is the ports that clusters may listen at, both ends included.
type portRange struct{ first, last int }

// maxPorts bounds a range: finding a free port tries one after the other.
const maxPorts = 1000

// parsePorts reads FIRST-LAST, or 0 for any port that is free.
func parsePorts(text string) (portRange, error) {
	wrong := &ConfigError{
		Key: "msk-ports", Wrong: fmt.Sprintf("%q is no range of ports", text), Remedy: fmt.Sprintf("give FIRST-LAST, up to %d ports, as 9192-9255", maxPorts),
	}
	if text == "0" {
		return portRange{}, nil
	}
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		return portRange{}, wrong
	}
	first, err := strconv.ParseUint(low, 10, 16)
	if err != nil || first == 0 {
		return portRange{}, wrong
	}
	last, err := strconv.ParseUint(high, 10, 16)
	if err != nil || last < first || last-first >= maxPorts {
		return portRange{}, wrong
	}
	return portRange{int(first), int(last)}, nil
}

// has tells whether a port is of the range. Of any free ports, each but 0 is.
func (p portRange) has(port int) bool {
	return port != 0 && (p == portRange{} || p.first <= port && port <= p.last)
}

// String returns the range as it was written.
func (p portRange) String() string {
	if p == (portRange{}) {
		return "0"
	}
	return fmt.Sprintf("%d-%d", p.first, p.last)
}

// authorityFiles returns where the certificates of authorities are, by their ARNs.
func (c *Config) authorityFiles() map[string]string {
	files := map[string]string{}
	for _, text := range c.MSKAuthorities {
		arn, path, _ := strings.Cut(text, "=")
		files[arn] = path
	}
	return files
}

func (c *Config) validateAuthorities(v *validation) {
	const key, remedy = "msk-authorities", "give ARN=FILE, as arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/ID=clients.pem, once for each authority"
	seen := map[string]bool{}
	for _, text := range c.MSKAuthorities {
		arn, path, ok := strings.Cut(text, "=")
		switch _, err := os.Stat(path); {
		case !ok || !msk.IsAuthority(arn):
			v.wrong(key, fmt.Sprintf("%q does not begin with the ARN of a certificate authority", text), remedy)
		case seen[arn]:
			v.wrong(key, arn+" is there twice", remedy)
		case err != nil:
			v.wrong(key, err.Error(), remedy)
		}
		seen[arn] = true
	}
}
