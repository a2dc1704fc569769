package hub_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/hub/audit"
)

// TestOrdersAreWrittenDown: obeyed or refused, given or ended by itself, each is
// in the status and in the file, and stays there over a restart.
func TestOrdersAreWrittenDown(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	for _, x := range [][2]string{
		{"/api/v1/orders", `{"verb":"drain","cluster":"west","who":"ann","why":"patching","seconds":3600}`},
		{"/api/v1/orders", `{"verb":"cordon","cluster":"west","who":"ann"}`},
		{"/api/v1/orders", `{"verb":"undrain","cluster":"west","who":"ben"}`},
		{"/api/v1/orders", `{"verb":"cordon","cluster":"none","who":"ann"}`},
		{"/api/v1/orders", `{"verb":`},
		{"/api/v1/tokens", `{"cluster":"west","who":"ann"}`},
		{"/api/v1/drills/none/start", `{"who":"ann"}`},
		{"/api/v1/drills/none/abort", ``},
		{"/api/v1/orders", `{"verb":"freeze","who":"ann","seconds":1}`},
	} {
		c.ask("POST", x[0], x[1], "Authorization", "Bearer "+c.token)
	}
	if code, _ := c.ask("POST", "/api/v1/orders", `{"verb":"freeze","who":"nobody"}`); code != 401 {
		t.Errorf("without a token: %d", code)
	}
	want := []string{"ann drain west", "ann cordon west", "ben undrain west", "ann cordon none refused", "unknown order  refused",
		"ann token create west", "ann drill start none refused", "unknown drill abort none refused", "ann freeze ", "hub freeze ended "}
	var s report.Status
	told := func(c *console) []string {
		s = report.Status{}
		if _, body := c.ask("GET", "/api/v1/status", ""); json.Unmarshal([]byte(body), &s) != nil {
			t.Fatal(body)
		}
		var got []string
		for _, o := range s.History {
			line := o.Who + " " + o.What + " " + o.On
			if o.Refused != "" {
				line += " refused"
			}
			got = append(got, line)
		}
		return got
	}
	for end := time.Now().Add(10 * time.Second); len(told(c)) < len(want) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	if diff := cmp.Diff(want, told(c)); diff != "" {
		t.Error(diff)
	}
	if h := s.History[0]; h.Why != "patching" || h.Until.Sub(h.At).Round(time.Minute) != time.Hour {
		t.Errorf("the first: %+v", h)
	}
	if len(s.Orders) != 1 || s.Orders[0].Kind != "Cordon" || s.Orders[0].Since.IsZero() || s.Clusters[0].State != "Cordoned" {
		t.Errorf("undrain leaves the cordon: %+v, %s", s.Orders, s.Clusters[0].State)
	}
	c.stop()
	again := start(t, dir)
	if diff := cmp.Diff(want, told(again)); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	data, err := os.ReadFile(filepath.Join(again.state, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := audit.Verify(strings.NewReader(string(data))); n != len(want) || err != nil {
		t.Errorf("the file holds %d: %v", n, err)
	}
	if strings.Contains(string(data), c.token) {
		t.Error("the token is in the file")
	}
}
