package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"reflect"
	"strconv"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// AppendQueryAnswer appends the XML answer of a query operation:
//
//	<OpResponse xmlns="..."><OpResult>members</OpResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></OpResponse>
//
// An operation without output, a nil s, has no result element.
func AppendQueryAnswer(dst []byte, operation, namespace, requestID string, s *shape.Shape, v reflect.Value) []byte {
	dst = append(dst, "<"+operation+"Response xmlns=\""...)
	dst = appendXMLText(dst, namespace)
	dst = append(dst, "\">"...)
	if s != nil {
		dst = append(dst, "<"+operation+"Result>"...)
		dst = appendXMLMembers(dst, s, v)
		dst = append(dst, "</"+operation+"Result>"...)
	}
	dst = append(dst, "<ResponseMetadata><RequestId>"+requestID+"</RequestId></ResponseMetadata></"...)
	return append(dst, operation+"Response>\n"...)
}

// AppendQueryError appends the XML of an error; fault means that the server is to blame.
func AppendQueryError(dst []byte, namespace, requestID string, fault bool, code, message string) []byte {
	blame := "Sender"
	if fault {
		blame = "Receiver"
	}
	dst = append(dst, "<ErrorResponse xmlns=\""...)
	dst = appendXMLText(dst, namespace)
	dst = append(dst, "\"><Error><Type>"+blame+"</Type><Code>"...)
	dst = appendXMLText(dst, code)
	dst = append(dst, "</Code><Message>"...)
	dst = appendXMLText(dst, message)
	return append(dst, "</Message></Error><RequestId>"+requestID+"</RequestId></ErrorResponse>\n"...)
}

func appendXMLText(dst []byte, s string) []byte {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return append(dst, b.Bytes()...)
}

func appendXMLMembers(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	for i := range s.Members {
		f := v.Field(i)
		if f.IsNil() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		dst = appendXMLElement(dst, s.Members[i].Name, s.Members[i].Shape, f)
	}
	return dst
}

func appendXMLElement(dst []byte, name string, s *shape.Shape, v reflect.Value) []byte {
	dst = append(dst, "<"+name+">"...)
	switch s.Kind {
	case shape.Structure:
		dst = appendXMLMembers(dst, s, v)
	case shape.List:
		for i := range v.Len() {
			dst = appendXMLElement(dst, "member", s.ElementShape, v.Index(i))
		}
	case shape.Map:
		for _, key := range sortedKeys(v) {
			dst = append(dst, "<entry><key>"...)
			dst = appendXMLText(dst, key)
			dst = append(dst, "</key>"...)
			dst = appendXMLElement(dst, "value", s.ElementShape, v.MapIndex(reflect.ValueOf(key)))
			dst = append(dst, "</entry>"...)
		}
	case shape.String:
		dst = appendXMLText(dst, v.String())
	case shape.Integer, shape.Long:
		dst = strconv.AppendInt(dst, v.Int(), 10)
	case shape.Float, shape.Double:
		dst = strconv.AppendFloat(dst, v.Float(), 'g', -1, v.Type().Bits())
	case shape.Boolean:
		dst = strconv.AppendBool(dst, v.Bool())
	case shape.Blob:
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
	case shape.Timestamp:
		dst = timeOf(v).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	return append(dst, "</"+name+">"...)
}
