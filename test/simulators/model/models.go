package model

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// created is when every simulated model was: lists do not change by themselves.
const created = 1767225600

func (x *exchange) models() {
	all := []any{}
	for _, name := range x.names() {
		all = append(all, x.modelObject(name))
	}
	list := object{"object": "list", "data": all}
	if x.dialect == anthropic {
		list = object{"data": all, "has_more": false, "first_id": nil, "last_id": nil}
		if names := x.names(); len(names) > 0 {
			list["first_id"], list["last_id"] = names[0], names[len(names)-1]
		}
	}
	x.answer(http.StatusOK, list)
}

func (x *exchange) model() {
	id := x.r.PathValue("id")
	if !slices.Contains(x.names(), id) {
		x.fail(http.StatusNotFound, "model_not_found", fmt.Sprintf("The model '%s' does not exist", id))
		return
	}
	x.answer(http.StatusOK, x.modelObject(id))
}

func (x *exchange) names() []string {
	options := x.sim.options
	if x.onAzure() && len(options.Deployments) > 0 {
		return slices.Sorted(maps.Keys(options.Deployments))
	}
	return options.Models
}

func (x *exchange) modelObject(name string) object {
	if x.dialect == anthropic {
		return object{"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
	}
	return object{"id": name, "object": "model", "created": created, "owned_by": x.sim.options.Name}
}
