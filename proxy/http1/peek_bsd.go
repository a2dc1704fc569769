//go:build unix && !linux

package http1

// The other kernels report a half-closed peer as POLLHUP.
const pollHalfClosed = 0
