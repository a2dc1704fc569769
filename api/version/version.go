// Package version carries the version that a program was built as. It decides
// nothing; the streams' hello and `nave version` say it.
package version

// Version is set when the program is linked; "dev" otherwise.
var Version = "dev"
