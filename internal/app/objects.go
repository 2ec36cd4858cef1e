package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/backend/dir"
	"github.com/freshet/freshet/internal/backend/s3"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
)

// s3Scheme begins places in S3; others are directories.
const s3Scheme = "s3://"

// placeForm is how a place in S3 is written.
const placeForm = "write a directory, or s3://BUCKET/PREFIX?region=REGION&endpoint=URL&path-style=true&profile=NAME, percent-encoded; all but s3:// can be left out"

// s3CheckTimeout bounds the wait at the start for S3 to say that it has the bucket.
const s3CheckTimeout = 5 * time.Second

// InS3 says whether a place for objects is in S3.
func InS3(place string) bool { return strings.HasPrefix(place, s3Scheme) }

// parseS3 reads a place in S3:
//
//	s3://[KEY:SECRET@][BUCKET[/PREFIX]][?region=REGION][&endpoint=URL][&path-style=true|false][&profile=NAME]
//
// Without a bucket each bucket of objects is one there. An endpoint has the bucket in its path unless path-style says otherwise. What is not
// given comes from the environment and the files of AWS's tools. The error shows no secret.
func parseS3(place string) (s3.Config, error) {
	u, err := url.Parse(place)
	if err != nil || u.Scheme+"://" != s3Scheme || u.Opaque != "" || u.Fragment != "" || strings.Contains(place, "#") {
		return s3.Config{}, errors.New("it is no URL of S3") // err may show the secret
	}
	c := s3.Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if u.User != nil {
		c.AccessKey = u.User.Username()
		if c.Secret, _ = u.User.Password(); c.AccessKey == "" || c.Secret == "" {
			return s3.Config{}, errors.New("an access key and its secret go together")
		}
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s3.Config{}, fmt.Errorf("its options cannot be read: %w", err)
	}
	for name, values := range options {
		if len(values) != 1 || values[0] == "" {
			return s3.Config{}, fmt.Errorf("option %q needs one value", name)
		}
	}
	c.Region, c.Profile, c.Endpoint = options.Get("region"), options.Get("profile"), options.Get("endpoint")
	c.PathStyle = c.Endpoint != ""
	if style := options.Get("path-style"); style != "" {
		if c.PathStyle, err = strconv.ParseBool(style); err != nil {
			return s3.Config{}, fmt.Errorf("path-style is %q, neither true nor false", style)
		}
	}
	for name := range options {
		if !slices.Contains([]string{"region", "profile", "endpoint", "path-style"}, name) {
			return s3.Config{}, fmt.Errorf("there is no option %q", name)
		}
	}
	if err := checkEndpoint(c.Endpoint); err != nil {
		return s3.Config{}, err
	}
	return c, c.Check()
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("endpoint is no http or https URL of a host")
	}
	return nil
}

// checkPlace returns what is wrong with a place for objects.
func checkPlace(place string) error {
	switch {
	case InS3(place):
		_, err := parseS3(place)
		return err
	case strings.Contains(place, "://"):
		return errors.New("it is neither a directory nor in S3")
	}
	return nil
}

// ShownPlace returns a place for objects without its secret.
func ShownPlace(place string) string {
	if u, err := url.Parse(place); InS3(place) && err == nil {
		return u.Redacted()
	}
	return place
}

// OpenObjects opens the objects at the place that the setting called key names: a directory or in S3, see parseS3. It asks nothing of S3 and makes
// no directory. The error is a *ConfigError.
func OpenObjects(ctx context.Context, key, place string, deps Deps) (object.Store, error) {
	if err := checkPlace(place); err != nil {
		return nil, &ConfigError{Key: key, Wrong: err.Error(), Remedy: placeForm}
	}
	deps.setDefaults()
	store, err := openPlace(ctx, place, deps)
	if err != nil {
		return nil, &ConfigError{Key: key, Wrong: err.Error(), Remedy: placeForm}
	}
	return store, nil
}

func openPlace(ctx context.Context, place string, deps Deps) (object.Store, error) {
	if !InS3(place) {
		return dir.New(dir.Config{Root: place, Clock: deps.Clock, Random: deps.Random})
	}
	c, err := parseS3(place)
	if err != nil {
		return nil, err
	}
	c.Clock, c.Logger = deps.Clock, deps.Logger.With(partKey, "s3")
	return s3.New(ctx, c)
}

// openObjects is OpenObjects, and asks: a place in S3 that can never work is an error, one that does not answer now is logged.
func (n *Node) openObjects(ctx context.Context, key, place string) (object.Store, error) {
	store, err := OpenObjects(ctx, key, place, Deps{Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger})
	if err != nil {
		return nil, err
	}
	if remote, ok := store.(*s3.Store); ok {
		if err := checkRemote(ctx, remote, n.deps.Clock, n.logger); err != nil {
			return nil, &ConfigError{Key: key, Wrong: err.Error(), Remedy: "make the bucket, or name another, and give credentials that may use it"}
		}
		n.remote = append(n.remote, remote)
	}
	return store, nil
}

func checkRemote(ctx context.Context, store *s3.Store, c clock.Clock, logger *slog.Logger) error {
	bounded, cancel := clock.WithTimeout(ctx, c, s3CheckTimeout, fmt.Errorf("%w: no answer in %s", object.ErrUnavailable, s3CheckTimeout))
	defer cancel()
	err := store.Check(bounded)
	if errors.Is(err, object.ErrUnavailable) {
		logger.Warn("objects are not reached for now", "error", err)
		return nil
	}
	return err
}

// ObjectsPlace returns where the objects of a node are, by the settings for data and for objects.
func ObjectsPlace(data, objects string) (string, error) {
	switch {
	case objects == "":
		return ObjectsDir(data), nil
	case InS3(objects):
		return objects, nil
	}
	return filepath.Abs(objects)
}
