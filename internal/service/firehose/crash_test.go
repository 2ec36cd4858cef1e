package firehose

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
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

// TestDeletionKilledAnywhereDeliversWhatWasPut kills the service before and after each step of deleting a direct and a Kinesis delivery stream. A
// new one, which the deletion is asked of again, leaves nothing behind, and what was put before is in the objects, each record once.
func TestDeletionKilledAnywhereDeliversWhatWasPut(t *testing.T) {
	flowtest.KillAnywhere(t, deletionKilledAt)
}

func deletionKilledAt(t *testing.T, n int, after bool) (reached bool) {
	r := world(t)
	source := r.kinesis("clicks", 2)
	r.start(t.Context(), r.log, r.state, r.objects)
	r.create("direct", nil)
	r.createKinesis("fed", "clicks")
	r.stop()
	ctx, k := flowtest.Mortal(t.Context(), n, after)
	r.start(ctx, k.Log(r.log), k.State(r.state), k.Objects(r.objects))
	r.put("direct", "1\n", "2\n")
	r.append(source.Shard(0), "3\n")
	r.append(source.Shard(1), "4\n")
	r.deleteAll()
	r.stop()
	r.start(t.Context(), r.log, r.state, r.objects)
	r.deleteAll()
	r.stop()
	if err := flowtest.Once(r.lines(), []string{"1\n", "2\n", "3\n", "4\n"}); err != nil {
		t.Errorf("%v\n%s", err, r.logged)
	}
	streams, err := r.log.Streams(t.Context())
	documents, err2 := r.state.List(t.Context(), kind, "")
	if len(streams) != 1 || len(documents) != 0 || err != nil || err2 != nil {
		t.Errorf("left: streams %v, documents %v, %v, %v", streams, documents, err, err2)
	}
	return k.Killed()
}

// deleteAll asks for the deletion of all delivery streams, and waits until nothing happens any more.
func (r *rig) deleteAll() {
	for _, name := range []string{"direct", "fed"} {
		// The one that is killed does not answer, and what the first has deleted the second does not find.
		_, _ = r.DeleteDeliveryStream(r.t.Context(), &sdk.DeleteDeliveryStreamInput{DeliveryStreamName: &name})
	}
	synctest.Wait()
}
