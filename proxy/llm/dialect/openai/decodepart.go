package openai

import (
	"bytes"
	"strings"

	"github.com/navehq/nave/proxy/llm/chat"
)

// part reads one part of a message's content.
func (d *decoder) part(i, k int) chat.Part {
	var p chat.Part
	kind := ""
	d.object(func(key string) {
		switch key {
		case "type":
			kind = text(&d.c)
		case "text":
			p.Text = text(&d.c)
		case "refusal":
			p.Text = text(&d.c)
		case "image_url":
			d.image(&p, i, k)
		case "file":
			d.file(&p, i, k)
		case "cache_control":
			p.Cache = bytes.Clone(d.c.Skip())
		default:
			d.c.Skip()
		}
	})
	switch kind {
	case "text":
		p.Kind = chat.Text
	case "refusal":
		p.Kind = chat.Refusal
	case "image_url":
		p.Kind = chat.Image
	case "file":
		p.Kind = chat.File
	default:
		d.fault("messages", "messages[%d].content[%d] is of type %q, which has no translation", i, k, kind)
	}
	return p
}

// image reads {"url":…}, with an address or the image itself in it.
func (d *decoder) image(p *chat.Part, i, k int) {
	var url string
	if d.c.Kind() == '"' {
		url = text(&d.c)
	} else {
		url = member(&d.c, "url")
	}
	switch {
	case strings.HasPrefix(url, "data:"):
		if !inline(p, url) {
			d.fault("messages", "messages[%d].content[%d].image_url is no base64 data URL", i, k)
		}
	case strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://"):
		p.URL = url
	default:
		d.fault("messages", "messages[%d].content[%d].image_url is neither a web address nor a data URL", i, k)
	}
}

func (d *decoder) file(p *chat.Part, i, k int) {
	d.object(func(key string) {
		switch key {
		case "filename":
			p.Name = text(&d.c)
		case "file_data":
			if !inline(p, text(&d.c)) {
				d.fault("messages", "messages[%d].content[%d].file.file_data is no base64 data URL", i, k)
			}
		default:
			d.c.Skip()
		}
	})
	if p.Data == "" {
		d.fault("messages", "messages[%d].content[%d].file has no file_data", i, k)
	}
}

// inline takes a data URL (RFC 2397) in base64 apart.
func inline(p *chat.Part, url string) bool {
	head, data, ok := strings.Cut(strings.TrimPrefix(url, "data:"), ",")
	media, isBase64 := strings.CutSuffix(head, ";base64")
	media, _, _ = strings.Cut(media, ";")
	if !ok || !isBase64 || media == "" || data == "" {
		return false
	}
	p.MediaType, p.Data = strings.ToLower(media), data
	return true
}
