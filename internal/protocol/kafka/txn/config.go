package txn

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Config bounds what transactions may take and how long they stay open. The zero value of each field means its default.
type Config struct {
	// MaxTimeout is the longest that a producer may ask for its transactions to stay open. Kafka: transaction.max.timeout.ms.
	MaxTimeout time.Duration
	// RestoreGrace is how long at least a transaction stays open after a restart of the node, at most its timeout: the node was away, not its producer.
	RestoreGrace time.Duration
	// Expiration is how long a transactional id is remembered after its last transaction. Kafka: transactional.id.expiration.ms.
	Expiration time.Duration
	// ExpirationCheck is the time between two looks for ids to forget. Kafka: transaction.remove.expired.transaction.cleanup.interval.ms.
	ExpirationCheck time.Duration

	MaxIDs              int   // transactional ids remembered
	MaxTransactionBytes int64 // shards, groups and staged offsets of one transaction
	MaxBytes            int64 // the same of all transactions together
}

// The defaults of Config.
const (
	DefaultMaxTimeout          = 15 * time.Minute
	DefaultRestoreGrace        = time.Minute
	DefaultExpiration          = 7 * 24 * time.Hour
	DefaultExpirationCheck     = time.Hour
	DefaultMaxIDs              = 100_000
	DefaultMaxTransactionBytes = 4 << 20
	DefaultMaxBytes            = 128 << 20
)

// MaxIDBytes is the longest transactional id accepted: it is a document's.
const MaxIDBytes = 512

// retryDelay is the time until an abort that failed is tried again.
const retryDelay = time.Second

// WithDefaults returns c with each zero field at its default.
func (c Config) WithDefaults() Config {
	return Config{
		MaxTimeout:          cmp.Or(c.MaxTimeout, DefaultMaxTimeout),
		RestoreGrace:        cmp.Or(c.RestoreGrace, DefaultRestoreGrace),
		Expiration:          cmp.Or(c.Expiration, DefaultExpiration),
		ExpirationCheck:     cmp.Or(c.ExpirationCheck, DefaultExpirationCheck),
		MaxIDs:              cmp.Or(c.MaxIDs, DefaultMaxIDs),
		MaxTransactionBytes: cmp.Or(c.MaxTransactionBytes, DefaultMaxTransactionBytes),
		MaxBytes:            cmp.Or(c.MaxBytes, DefaultMaxBytes),
	}
}

// Validate names every setting that cannot work, with its remedy.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var wrong []error
	for name, d := range map[string]time.Duration{
		"transaction timeout bound": c.MaxTimeout, "transaction restore grace": c.RestoreGrace,
		"transactional id expiration": c.Expiration, "transactional id expiration check": c.ExpirationCheck,
	} {
		if d <= 0 {
			wrong = append(wrong, fmt.Errorf("%s %v: must be positive", name, d))
		}
	}
	if c.MaxIDs <= 0 {
		wrong = append(wrong, fmt.Errorf("bound of %d transactional ids: must be positive", c.MaxIDs))
	}
	if c.MaxTransactionBytes <= 0 || c.MaxTransactionBytes > DefaultMaxTransactionBytes || c.MaxBytes < c.MaxTransactionBytes {
		wrong = append(wrong, fmt.Errorf("transaction memory %d of %d bytes: a transaction's bound must be positive, at most %d, and fit into that of all",
			c.MaxTransactionBytes, c.MaxBytes, DefaultMaxTransactionBytes))
	}
	return errors.Join(wrong...)
}
