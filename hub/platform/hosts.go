package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// HostsFile maps provider host names to other addresses.
const HostsFile = "hosts.yaml"

type hostsFile struct {
	Hosts []hostEntry `json:"hosts"`
}

type hostEntry struct {
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Address   string `json:"address"`
	CAFile    string `json:"caFile,omitempty"`
	Plaintext bool   `json:"plaintext,omitempty"`
}

// ReadHosts reads hosts.yaml. An entry that cannot be used is a problem, the
// others hold; a file that cannot be read changes nothing.
func ReadHosts(dir string) (hosts []table.Host, problems []objects.Problem, ok bool) {
	data, err := os.ReadFile(filepath.Join(dir, HostsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, true
	}
	const holds = "what the file said before holds"
	if err != nil {
		return nil, []objects.Problem{{File: HostsFile, Reason: objects.ReasonSyntax, Message: err.Error(), Remedy: "let it be read; " + holds}}, false
	}
	var file hostsFile
	if wrong := objects.Settings("", HostsFile, data, &file, holds); len(wrong) > 0 {
		return nil, wrong, false
	}
	for i, e := range file.Hosts {
		h, err := e.read(dir)
		if err != nil {
			problems = append(problems, objects.Problem{File: HostsFile, Field: fmt.Sprintf("hosts[%d]", i), Reason: objects.ReasonInvalidValue, Message: err.Error(), Remedy: "write {host, port, address: ip:port} with plaintext: true or a caFile"})
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts, problems, true
}

func (e hostEntry) read(dir string) (table.Host, error) {
	if e.Host == "" || e.Port < 1 || e.Port > 65535 {
		return table.Host{}, fmt.Errorf("host %q port %d is no host and port", e.Host, e.Port)
	}
	if _, _, err := net.SplitHostPort(e.Address); err != nil {
		return table.Host{}, fmt.Errorf("address %q is not host:port", e.Address)
	}
	h := table.Host{Name: net.JoinHostPort(strings.ToLower(e.Host), strconv.Itoa(e.Port)), Address: e.Address, Plaintext: e.Plaintext}
	if e.CAFile == "" {
		return h, nil
	}
	path := e.CAFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return table.Host{}, fmt.Errorf("read caFile: %w", err)
	}
	h.CA = string(pem)
	return h, nil
}
