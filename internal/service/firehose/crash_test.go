package firehose

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/freshet/freshet/internal/flow/flowtest"
)

// TestKilledAnywhereEveryRecordIsInOneObject kills the service before and after each step of delivering a direct and a Kinesis stream. New
// services, killed too, go on; records keep coming, so that buffers would be cut differently. In the end the objects hold each record once.
func TestKilledAnywhereEveryRecordIsInOneObject(t *testing.T) {
	flowtest.KillAnywhere(t, killedAt)
}

func killedAt(t *testing.T, n int, after bool) (reached bool) {
	r := world(t)
	source := r.kinesis("clicks", 2)
	r.start(t.Context(), r.log, r.state, r.objects)
	r.create("direct", func(d *types.ExtendedS3DestinationConfiguration) { d.CompressionFormat = types.CompressionFormatGzip })
	r.createKinesis("fed", "clicks")
	r.stop()
	var sent []string
	line := func() string {
		sent = append(sent, fmt.Sprintf("record %d\n", len(sent)))
		return sent[len(sent)-1]
	}
	run := func(n int) bool {
		ctx, k := flowtest.Mortal(t.Context(), n, after)
		r.start(ctx, k.Log(r.log), k.State(r.state), k.Objects(r.objects))
		for i := range 5 {
			r.put("direct", line(), line())
			r.append(source.Shard(int32(i%2)), line(), line())
			r.after(25 * time.Second)
		}
		r.stop()
		return k.Killed()
	}
	reached = run(n)
	run(n % 7)
	run(n % 4)
	if run(-1) {
		t.Fatal("killed without being asked to")
	}
	if err := flowtest.Once(r.lines(), sent); err != nil {
		t.Errorf("%v\n%s", err, r.logged)
	}
	return reached
}
