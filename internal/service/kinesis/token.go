package kinesis

import (
	"encoding/binary"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

// tokenLife is how long a NextToken can be used.
const tokenLife = 300 * time.Second

// tokenBody is what a NextToken carries: fields one after the other, written and read in the same order. Its signature was checked before
// it is read, so that reading past the end cannot happen and gives zeros.
type tokenBody []byte

func (b *tokenBody) addText(s string) { *b = append(append(*b, byte(len(s))), s...) }

func (b *tokenBody) addNumber(n int64) { *b = binary.BigEndian.AppendUint64(*b, uint64(n)) }

func (b *tokenBody) text() string {
	if len(*b) == 0 || len(*b) < 1+int((*b)[0]) {
		return ""
	}
	s := string((*b)[1 : 1+int((*b)[0])])
	*b = (*b)[1+len(s):]
	return s
}

func (b *tokenBody) number() int64 {
	if len(*b) < 8 {
		return 0
	}
	n := int64(binary.BigEndian.Uint64(*b))
	*b = (*b)[8:]
	return n
}

// openToken returns what a NextToken carries.
func (s *Service) openToken(p purpose, token string) (tokenBody, error) {
	issued, body, err := s.sealer.open(p, token)
	if err != nil {
		return nil, invalidArgument("Invalid NextToken.")
	}
	if now := s.now(); now.Sub(issued) > tokenLife {
		return nil, aws.Errorf(api.ErrExpiredNextToken, "NextToken expired. The token was created at time %s while right now it is %s which is further "+
			"in the future than the tolerated delay of %d milliseconds.", issued.UTC().Format(amazonTime), now.UTC().Format(amazonTime), tokenLife.Milliseconds())
	}
	return body, nil
}
