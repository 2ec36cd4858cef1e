// Command awsgen writes the packages under internal/protocol/aws/model from the service models that AWS publishes inside botocore.
//
// It takes the pinned wheel from the package registry (through pip) into a cache directory, checks its SHA-256, and keeps facts only: names,
// types, constraints, enumerations, error codes. No prose of the model reaches the output. The output is committed; run
//
//	go run ./tools/awsgen
//
// in the repository's root to renew it, and -check to learn whether it is current.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

// services lists what is generated. A nil only describes every operation; other services name all operations but describe those listed.
var services = []serviceConfig{
	{dir: "kinesis", apiVersion: "2013-12-02", binaryVariant: true},
	{dir: "firehose", apiVersion: "2015-08-04"},
	{dir: "sts", apiVersion: "2011-06-15", only: []string{"GetCallerIdentity"}},
	{dir: "kafka", apiVersion: "2018-11-14"},
	{dir: "secretsmanager", apiVersion: "2017-10-17", only: secretsOperations},
}

var secretsOperations = []string{
	"CreateSecret", "DeleteSecret", "DescribeSecret", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds", "ListSecrets", "PutSecretValue", "RestoreSecret",
	"TagResource", "UntagResource", "UpdateSecret", "UpdateSecretVersionStage",
}

type serviceConfig struct {
	dir           string // in botocore/data; also the name of the package
	apiVersion    string
	only          []string
	binaryVariant bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("awsgen: ")
	cache := flag.String("cache", filepath.Join(os.TempDir(), "freshet-awsgen"), "directory for the downloaded wheel")
	out := flag.String("out", "internal/protocol/aws/model", "directory of the generated packages")
	check := flag.Bool("check", false, "write nothing; fail if the committed packages differ")
	flag.Parse()
	if err := run(*cache, *out, *check); err != nil {
		log.Fatal(err)
	}
}

func run(cache, out string, check bool) error {
	wheel, err := fetchWheel(cache)
	if err != nil {
		return err
	}
	for _, config := range services {
		m, err := readModel(wheel, config)
		if err != nil {
			return fmt.Errorf("read model of %s: %w", config.dir, err)
		}
		files, err := generate(m, config)
		if err != nil {
			return fmt.Errorf("generate %s: %w", config.dir, err)
		}
		dir := filepath.Join(out, config.dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for name, content := range files {
			path := filepath.Join(dir, name)
			if check {
				if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, content) {
					return fmt.Errorf("%s is not what the generator writes: run go run ./tools/awsgen", path)
				}
				continue
			}
			if err := os.WriteFile(path, content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
