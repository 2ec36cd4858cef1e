package aws

import (
	"net/http"
	"strconv"
	"strings"
)

// setCommonHeaders adds the ids of the request and, for a page of another origin, what its browser wants to read.
func (x *exchange) setCommonHeaders() {
	h := x.w.Header()
	h["X-Amzn-Requestid"] = []string{x.id}
	origin := x.r.Header.Get("Origin")
	if x.r.Method != http.MethodOptions || origin == "" {
		h["X-Amz-Id-2"] = []string{x.door.ids.extendedID()}
	}
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	if x.r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date")
	}
}

// preflightSeconds is how long a browser may remember the answer to a preflight request.
const preflightSeconds = 172800

// preflight answers a browser's question whether it may call.
func (x *exchange) preflight() bool {
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Origin") == "" {
		return false
	}
	h := x.w.Header()
	if asked := x.r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	if asked := x.r.Header.Get("Access-Control-Request-Method"); asked != "" {
		h.Set("Access-Control-Allow-Methods", asked)
	}
	h.Set("Access-Control-Max-Age", strconv.Itoa(preflightSeconds))
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
	return true
}

// failXML answers requests whose encoding is unknown, in the small XML of AWS's front end.
func (x *exchange) failXML(status int, e *Error) {
	x.w.Header().Set("Content-Type", "text/xml")
	body := "<" + e.Code + "/>\n"
	if e.Message != "" {
		body = "<" + e.Code + ">\n  <Message>" + xmlText.Replace(e.Message) + "</Message>\n</" + e.Code + ">\n"
	}
	x.write(status, []byte(body))
}

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
