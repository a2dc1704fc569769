package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// answer is a chat completion of about 1 KB.
var answer = func() []byte {
	body := `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("The quick brown fox jumps over the lazy dog. ", 17) +
		`"},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":170,"total_tokens":370}}`
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

// question is a request for one of about 1 KB.
func question(host string) []byte {
	body := `{"model":"m","messages":[{"role":"system","content":"Answer in one paragraph."},{"role":"user","content":"` +
		strings.Repeat("What should be known of foxes and dogs? ", 21) + `"}],"temperature":0.2}`
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer key\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body)
}

// serveUpstream answers every request alike, as cheaply as can be.
func serveUpstream(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for r := bufio.NewReaderSize(c, 16<<10); ; {
				if skip(r) != nil {
					return
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

var (
	lengthName = []byte("content-length:")
	statusOK   = []byte("HTTP/1.1 200")
)

// skip reads a message with a Content-Length to its end.
func skip(r *bufio.Reader) error {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			_, err := r.Discard(length)
			return err
		}
		if len(line) > len(lengthName) && bytes.EqualFold(line[:len(lengthName)], lengthName) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthName):]))); err != nil {
				return err
			}
		}
	}
}

// exchange sends the question and reads the answer.
func exchange(c net.Conn, r *bufio.Reader, question []byte) error {
	if _, err := c.Write(question); err != nil {
		return err
	}
	head, err := r.Peek(len(statusOK))
	if err != nil {
		return err
	}
	if !bytes.Equal(head, statusOK) {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("it answers %s: %s", resp.Status, text)
	}
	return skip(r)
}
