package model

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/http"
	"strings"
)

const (
	defaultDimensions = 256
	maxDimensions     = 4096
)

// embeddings is OpenAI's /embeddings: each word of an input is thrown into one
// dimension by its hash, so that texts that share words are near.
func (x *exchange) embeddings() {
	inputs := stringsOf(x.body["input"])
	if len(inputs) == 0 {
		x.fail(http.StatusBadRequest, "invalid_request_error", "'input' must be a string or an array of strings.")
		return
	}
	dimensions := int(numberOf(x.body["dimensions"]))
	if dimensions == 0 {
		dimensions = defaultDimensions
	}
	if dimensions < 1 || dimensions > maxDimensions {
		x.fail(http.StatusBadRequest, "invalid_request_error", "'dimensions' is out of range.")
		return
	}
	data, tokens := []any{}, 0
	for i, input := range inputs {
		tokens += Tokens(input)
		var vector any = embed(input, dimensions)
		if x.body["encoding_format"] == "base64" {
			vector = encode(embed(input, dimensions))
		}
		data = append(data, object{"object": "embedding", "index": i, "embedding": vector})
	}
	x.count(tokens, 0)
	if x.refuses() || !x.think(0) {
		return
	}
	x.answer(http.StatusOK, object{
		"object": "list", "data": data, "model": x.record.Model,
		"usage": object{"prompt_tokens": tokens, "total_tokens": tokens},
	})
}

func embed(text string, dimensions int) []float32 {
	vector := make([]float32, dimensions)
	var length float64
	for _, word := range strings.Fields(strings.ToLower(text)) {
		h := fnv.New32a()
		h.Write([]byte(strings.Trim(word, ".,;:!?\"'()")))
		vector[h.Sum32()%uint32(dimensions)]++
	}
	for _, v := range vector {
		length += float64(v) * float64(v)
	}
	if length == 0 {
		vector[0], length = 1, 1
	}
	for i := range vector {
		vector[i] = float32(float64(vector[i]) / math.Sqrt(length))
	}
	return vector
}

func encode(vector []float32) string {
	raw := make([]byte, 0, 4*len(vector))
	for _, v := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
