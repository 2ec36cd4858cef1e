// Command fidelity renders the ledgers in the code, of AWS request members and of Kafka topic configs, to docs/fidelity.md. Run
//
//	go run ./tools/fidelity
//
// in the repository's root after a ledger has changed; -check only tells whether the page is current.
package main

import (
	"bytes"
	"errors"
	"flag"
	"log"
	"os"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/service/firehose"
	"github.com/freshet/freshet/internal/service/kinesis"
	"github.com/freshet/freshet/internal/service/msk"
	"github.com/freshet/freshet/internal/service/secrets"
	"github.com/freshet/freshet/internal/service/sts"
)

// services lists the APIs in the order of the page. Their handlers are never called: a service without its dependencies will do.
func services() []aws.Service {
	return []aws.Service{new(kinesis.Service).API(), new(firehose.Service).API(), sts.API(), new(msk.Service).API(), new(secrets.Service).API()}
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("fidelity: ")
	path := flag.String("out", "docs/fidelity.md", "page to write")
	check := flag.Bool("check", false, "write nothing; fail if the page differs")
	flag.Parse()
	if err := run(*path, *check); err != nil {
		log.Fatal(err)
	}
}

func run(path string, check bool) error {
	page := render(services(), kafka.TopicSettings(), kafka.BrokerSettings())
	if !check {
		return os.WriteFile(path, page, 0o644)
	}
	if old, err := os.ReadFile(path); err != nil {
		return err
	} else if !bytes.Equal(old, page) {
		return errors.New(path + " is not what the ledgers say: run go run ./tools/fidelity")
	}
	return nil
}
