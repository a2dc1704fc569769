package http1

import "golang.org/x/sys/unix"

const pollHalfClosed = unix.POLLRDHUP
