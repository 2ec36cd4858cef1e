package firehose

import (
	"cmp"
	"strings"
	"time"
	_ "time/tzdata" // CustomTimeZone works where the system knows no zones

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/object"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
)

// The defaults of BufferingHints, and the mebibyte that SizeInMBs counts.
const (
	defaultSizeMB   = 5
	defaultInterval = 300
	megabyte        = 1 << 20
)

// widen returns the extended form of a destination that was given in the older one.
func widen(c *api.S3DestinationConfiguration) api.ExtendedS3DestinationConfiguration {
	return api.ExtendedS3DestinationConfiguration{
		RoleARN: c.RoleARN, BucketARN: c.BucketARN, Prefix: c.Prefix, ErrorOutputPrefix: c.ErrorOutputPrefix, BufferingHints: c.BufferingHints,
		CompressionFormat: c.CompressionFormat, EncryptionConfiguration: c.EncryptionConfiguration, CloudWatchLoggingOptions: c.CloudWatchLoggingOptions,
	}
}

// withDefaults fills in what a description must show.
func withDefaults(c *api.ExtendedS3DestinationConfiguration) {
	if c.BufferingHints == nil {
		c.BufferingHints = &api.BufferingHints{SizeInMBs: new(int32(defaultSizeMB)), IntervalInSeconds: new(int32(defaultInterval))}
	}
	c.CompressionFormat = cmp.Or(c.CompressionFormat, new(api.CompressionFormatUncompressed))
	c.S3BackupMode = cmp.Or(c.S3BackupMode, new(api.S3BackupModeDisabled))
	if c.EncryptionConfiguration == nil {
		c.EncryptionConfiguration = &api.EncryptionConfiguration{NoEncryptionConfig: new(api.NoEncryptionConfigNoEncryption)}
	}
	if c.CloudWatchLoggingOptions == nil {
		c.CloudWatchLoggingOptions = &api.CloudWatchLoggingOptions{Enabled: new(false)}
	}
}

// merge puts what an update gives over a destination.
func merge(c *api.ExtendedS3DestinationConfiguration, u *api.ExtendedS3DestinationUpdate) {
	c.RoleARN = cmp.Or(u.RoleARN, c.RoleARN)
	c.BucketARN = cmp.Or(u.BucketARN, c.BucketARN)
	c.Prefix = cmp.Or(u.Prefix, c.Prefix)
	c.ErrorOutputPrefix = cmp.Or(u.ErrorOutputPrefix, c.ErrorOutputPrefix)
	c.BufferingHints = cmp.Or(u.BufferingHints, c.BufferingHints)
	c.CompressionFormat = cmp.Or(u.CompressionFormat, c.CompressionFormat)
	c.EncryptionConfiguration = cmp.Or(u.EncryptionConfiguration, c.EncryptionConfiguration)
	c.CloudWatchLoggingOptions = cmp.Or(u.CloudWatchLoggingOptions, c.CloudWatchLoggingOptions)
	c.ProcessingConfiguration = cmp.Or(u.ProcessingConfiguration, c.ProcessingConfiguration)
	c.S3BackupMode = cmp.Or(u.S3BackupMode, c.S3BackupMode)
	c.DataFormatConversionConfiguration = cmp.Or(u.DataFormatConversionConfiguration, c.DataFormatConversionConfiguration)
	c.DynamicPartitioningConfiguration = cmp.Or(u.DynamicPartitioningConfiguration, c.DynamicPartitioningConfiguration)
	c.FileExtension = cmp.Or(u.FileExtension, c.FileExtension)
	c.CustomTimeZone = cmp.Or(u.CustomTimeZone, c.CustomTimeZone)
}

// widenUpdate is widen for updates.
func widenUpdate(u *api.S3DestinationUpdate) *api.ExtendedS3DestinationUpdate {
	return &api.ExtendedS3DestinationUpdate{
		RoleARN: u.RoleARN, BucketARN: u.BucketARN, Prefix: u.Prefix, ErrorOutputPrefix: u.ErrorOutputPrefix, BufferingHints: u.BufferingHints,
		CompressionFormat: u.CompressionFormat, EncryptionConfiguration: u.EncryptionConfiguration, CloudWatchLoggingOptions: u.CloudWatchLoggingOptions,
	}
}

// layout is a destination ready for use: where objects go, what they are called, how they are made.
type layout struct {
	stream    string
	version   int64
	bucket    string
	prefix    *prefix
	zone      *time.Location
	extension string
	gzip      bool
	delimiter string // after each record
	limits    flow.Limits
}

// compile checks a destination and returns its layout, or the InvalidArgumentException that says what is wrong with it.
func compile(d *delivery) (*layout, error) {
	c := &d.Destination
	l := &layout{stream: d.Name, version: d.Version, zone: time.UTC}
	l.bucket = (*c.BucketARN)[strings.LastIndexByte(*c.BucketARN, ':')+1:]
	if err := object.CheckBucket(l.bucket); err != nil {
		return nil, invalidArgument("BucketARN %s: %s.", *c.BucketARN, err)
	}
	if err := refuse(c); err != nil {
		return nil, err
	}
	switch *c.CompressionFormat {
	case api.CompressionFormatUncompressed:
	case api.CompressionFormatGzip:
		l.gzip, l.extension = true, ".gz"
	default:
		return nil, invalidArgument("CompressionFormat %s is not served here: only UNCOMPRESSED and GZIP are.", *c.CompressionFormat)
	}
	l.extension = cmp.Or(value(c.FileExtension, ""), l.extension)
	hints := c.BufferingHints
	if hints.SizeInMBs == nil || hints.IntervalInSeconds == nil {
		return nil, invalidArgument("BufferingHints must have both SizeInMBs and IntervalInSeconds, or be left out.")
	}
	l.limits = flow.Limits{Bytes: int64(*hints.SizeInMBs) * megabyte, Age: time.Duration(*hints.IntervalInSeconds) * time.Second}
	var err error
	if zone := value(c.CustomTimeZone, ""); zone != "" {
		if l.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
			return nil, invalidArgument("CustomTimeZone %s is not a time zone of the IANA database.", zone)
		}
	}
	if l.prefix, err = parsePrefixes(value(c.Prefix, ""), value(c.ErrorOutputPrefix, "")); err != nil {
		return nil, err
	}
	l.delimiter, err = delimiter(c.ProcessingConfiguration)
	return l, err
}

// refuse names what the model and the ledger let pass because some of its values are served.
func refuse(c *api.ExtendedS3DestinationConfiguration) error {
	const notServed = "%s is not served here."
	if *c.S3BackupMode == api.S3BackupModeEnabled {
		return invalidArgument(notServed, "S3BackupMode Enabled")
	}
	if f := c.DataFormatConversionConfiguration; f != nil && value(f.Enabled, true) {
		return invalidArgument(notServed, "DataFormatConversionConfiguration")
	}
	if p := c.DynamicPartitioningConfiguration; p != nil && value(p.Enabled, false) {
		return invalidArgument(notServed, "DynamicPartitioningConfiguration")
	}
	if c.EncryptionConfiguration.KMSEncryptionConfig != nil {
		return invalidArgument(notServed, "EncryptionConfiguration.KMSEncryptionConfig")
	}
	return nil
}

// delimiter returns what the processors want after each record. Those of a configuration that is not enabled want nothing, whatever they are.
func delimiter(p *api.ProcessingConfiguration) (string, error) {
	if p == nil || !value(p.Enabled, false) {
		return "", nil
	}
	appended := ""
	for _, processor := range p.Processors {
		if *processor.Type != api.ProcessorTypeAppendDelimiterToRecord {
			return "", invalidArgument("Processor type %s is not served here: only AppendDelimiterToRecord is.", *processor.Type)
		}
		if appended != "" {
			return "", invalidArgument("Processor type %s is given more than once.", *processor.Type)
		}
		appended = "\n"
		for _, parameter := range processor.Parameters {
			if *parameter.ParameterName != api.ProcessorParameterNameDelimiter {
				return "", invalidArgument("Processor parameter %s is not one of AppendDelimiterToRecord.", *parameter.ParameterName)
			}
			appended = unescape.Replace(*parameter.ParameterValue)
		}
	}
	return appended, nil
}

// unescape reads the escapes in which a delimiter is given: JSON of command lines and templates carries a backslash and an n for a newline.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t")
