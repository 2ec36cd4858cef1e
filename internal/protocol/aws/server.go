package aws

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

// maxHeaderBytes bounds the headers of one request. Signed requests have a kilobyte or two, session tokens included.
const maxHeaderBytes = 64 << 10

// maxStreams bounds the requests at once on one HTTP/2 connection. A consumer of many shards holds one open for each.
const maxStreams = 1000

// Serve accepts connections until ctx ends: HTTP/1.1 and HTTP/2 with prior knowledge on plain, both by ALPN on secure. Either listener may be nil;
// certificates is needed for secure. When ctx ends, event streams are ended, open requests get DrainTimeout to finish, and Serve returns when
// no goroutine of it is left. It closes the listeners.
func (f *FrontDoor) Serve(ctx context.Context, plain, secure net.Listener, certificates *tls.Config) error {
	servers := map[*http.Server]net.Listener{}
	if plain != nil {
		servers[f.server(nil)] = plain
	}
	if secure != nil {
		servers[f.server(certificates)] = secure
	}
	group, ctx := errgroup.WithContext(ctx)
	for server, listener := range servers {
		listener := watchedListener{netutil.LimitListener(listener, f.config.MaxConnections), f.config.Log}
		group.Go(func() error {
			serve := server.Serve
			if server.TLSConfig != nil {
				serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
			}
			if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve AWS on %s: %w", listener.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			return f.stop(server)
		})
	}
	err := group.Wait()
	f.gate.close()
	return err
}

// stop drains a server and then closes what is still open.
func (f *FrontDoor) stop(server *http.Server) error {
	f.drain()
	ctx, cancel := context.WithCancel(context.Background())
	timer := f.config.Clock.NewTimer(f.config.DrainTimeout)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-timer.C():
			cancel()
		case <-ctx.Done():
		}
	}()
	err := server.Shutdown(ctx)
	cancel()
	timer.Stop()
	<-watched
	if errors.Is(err, context.Canceled) {
		f.config.Log.Warn("aws requests cut off at shutdown", "after", f.config.DrainTimeout)
		err = server.Close()
	}
	return err
}

func (f *FrontDoor) server(certificates *tls.Config) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(certificates == nil)
	return &http.Server{
		Handler:           f,
		TLSConfig:         certificates,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: f.config.BodyTimeout,
		IdleTimeout:       f.config.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConnection,
		ErrorLog:          log.New(serverLog{f.config.Log}, "", 0),
	}
}

// serverLog logs what net/http's server has to say, failed TLS handshakes mostly, as lines of one message: whoever limits lines of a message
// would not know them as one by the text, which has the client's port in it.
type serverLog struct{ to *slog.Logger }

// Write implements io.Writer for package log, which calls it for each line.
func (s serverLog) Write(line []byte) (int, error) {
	s.to.Info("aws connection", "error", string(bytes.TrimSpace(line)))
	return len(line), nil
}
