package chat

import (
	"math/bits"
	"strings"
)

// Features is a set of what a request uses beyond text in and text out. A
// candidate that lacks one of them cannot serve the request.
type Features uint32

// The features.
const (
	FeatureTools           Features = 1 << iota // functions the model may call
	FeatureImages                               // images in the prompt
	FeatureAudioInput                           // sound in the prompt
	FeatureAudioOutput                          // sound in the answer
	FeatureFiles                                // documents in the prompt
	FeatureJSONObject                           // an answer that is any JSON object
	FeatureJSONSchema                           // an answer by a JSON schema
	FeatureChoices                              // several answers (n > 1)
	FeatureLogProbs                             // probabilities of tokens
	FeatureLogitBias                            // weights on tokens
	FeatureLegacyFunctions                      // functions and function_call, from before tools
	FeatureCustomTools                          // tools of free text or grammar
	FeatureAllowedTools                         // a tool choice that names several
	FeatureWebSearch                            // a search by the provider
	FeatureHostedTools                          // tools that the provider runs
	FeatureBackground                           // an answer that is fetched later
	featureEnd
)

var featureNames = [...]string{
	"tools", "images", "audio_input", "audio_output", "files", "json_object", "json_schema", "n", "logprobs",
	"logit_bias", "functions", "custom_tools", "allowed_tools", "web_search", "hosted_tools", "background",
}

// Names lists the set's members, in the order of their declaration.
func (f Features) Names() []string {
	var names []string
	for rest := f & (featureEnd - 1); rest != 0; rest &= rest - 1 {
		names = append(names, featureNames[bits.TrailingZeros32(uint32(rest))])
	}
	return names
}

func (f Features) String() string { return strings.Join(f.Names(), ",") }

// FeatureNamed returns the feature of that name, 0 if there is none.
func FeatureNamed(name string) Features {
	for i, n := range featureNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// Has tells whether f has every member of want.
func (f Features) Has(want Features) bool { return f&want == want }

// UnsupportedError says that a dialect cannot carry a request that another may.
// The candidate is to be passed over; if none is left, Fault is the answer.
type UnsupportedError struct {
	Dialect  string
	Features Features // what it lacks, where that has a name
	Param    string   // the field at fault, where it is one
	What     string   // what is wrong with it
}

func (e *UnsupportedError) Error() string {
	return "translating the request to " + e.Dialect + ": " + e.what()
}

func (e *UnsupportedError) what() string {
	if e.Features != 0 {
		return "it has no " + e.Features.String()
	}
	return e.What
}

// Fault is the error for the client.
func (e *UnsupportedError) Fault() *Error {
	return &Error{Class: Caller, Status: 400, Type: "invalid_request_error", Code: "unsupported_by_provider", Param: e.Param, Message: e.Error()}
}
