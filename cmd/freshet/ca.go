package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/tlsca"
)

// caCmd shows the certificate authority that signs for --aws-tls, and makes it the first time.
type caCmd struct {
	dataFlags
	Export bool `name:"export" help:"Print the certificate itself, in PEM."`
	JSON   bool `name:"json" help:"Print JSON."`
}

// Run prints where the certificate is, or the certificate, and may run beside a node.
func (c *caCmd) Run(t *terminal) error {
	authority, err := app.Config{Data: c.dir()}.OpenAuthority(app.Deps{})
	if err != nil {
		return err
	}
	if c.Export {
		_, err = t.stdout.Write(authority.PEM())
		return err
	}
	path, err := filepath.Abs(filepath.Join(app.AuthorityDir(c.dir()), tlsca.CertificateFile))
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.stdout).Encode(map[string]string{"certificate": path})
	}
	_, err = fmt.Fprintln(t.stdout, path)
	return err
}
