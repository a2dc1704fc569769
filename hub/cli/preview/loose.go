package preview

import (
	"os"
	"slices"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
	"github.com/navehq/nave/api/v1alpha1"
)

// nowhere is the cluster that loose files are read as.
const nowhere = "here"

// platformKinds are what the hub reads; the rest is a cluster's.
var platformKinds = []string{"Cluster", "Tenant", "FleetConfig", "Drill", "Operation"}

// loose reads the files that were named, for the hub where cluster is "".
func (r *reader) loose(cluster string) (folder.Scan, error) {
	var found []*objects.Object
	scan := folder.Scan{}
	now := r.opts.Now()
	for _, path := range r.opts.Files {
		data, err := os.ReadFile(path)
		if err != nil {
			return folder.Scan{}, err
		}
		list, problems := objects.Decode(path, data, objects.Options{Cluster: cluster, Env: r.opts.Env, Schemas: r.schemas})
		found = append(found, list...)
		if cluster != "" { // they are the same for the hub
			scan.Problems = append(scan.Problems, problems...)
		}
	}
	found = slices.DeleteFunc(found, func(o *objects.Object) bool {
		return (o.Group == v1alpha1.GroupName && slices.Contains(platformKinds, o.Kind)) != (cluster == "")
	})
	found, problems := objects.Unique(found)
	scan.Problems = append(scan.Problems, problems...)
	for i, o := range found {
		dated := *o
		dated.Generation, dated.Created = 1, now
		found[i] = &dated
	}
	scan.Set = objects.NewSet(found...)
	scan.Changes = objects.NewSet().Diff(scan.Set)
	r.out.Problems = append(r.out.Problems, scan.Problems...)
	return scan, nil
}
