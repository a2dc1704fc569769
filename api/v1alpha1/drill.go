package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MaxFaultDuration bounds every fault of a drill, whatever the drill says.
const MaxFaultDuration Duration = "15m"

// Drill rehearses a loss and scores what clients saw.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=drills,categories=nave
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
type Drill struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What is rehearsed.
	Spec DrillSpec `json:"spec"`
	// The latest run.
	// +optional
	Status DrillStatus `json:"status,omitzero"`
}

// DrillList is a list of drills.
//
// +kubebuilder:object:root=true
type DrillList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The drills.
	Items []Drill `json:"items"`
}

// DrillSpec says what is rehearsed, when, and what is expected.
//
// +kubebuilder:validation:XValidation:rule="!(self.mode in ['Cordon', 'Drain']) || self.target.kind in ['Cluster', 'Region']",message="Cordon and Drain need a Cluster or Region as target"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Partition' || self.target.kind in ['Cluster', 'Region', 'Link', 'Hub']",message="Partition needs a Cluster, Region, Link or Hub as target"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Kill' || self.target.kind in ['Cluster', 'Region', 'Hub']",message="Kill needs a Cluster, Region or Hub as target"
// +kubebuilder:validation:XValidation:rule="has(self.fault) == (self.mode == 'Fault')",message="fault is for mode Fault, which needs it"
type DrillSpec struct {
	// What is lost.
	Target DrillTarget `json:"target"`
	// How it is lost.
	Mode DrillMode `json:"mode"`
	// The fault, for mode Fault.
	Fault *DrillFault `json:"fault,omitempty"`
	// How long it is lost.
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('15m')",message="duration must be 1s to 15m"
	Duration Duration `json:"duration,omitempty"`
	// When it runs by itself; only on order if unset.
	Schedule *DrillSchedule `json:"schedule,omitempty"`
	// What a PASS needs.
	Expectations *DrillExpectations `json:"expectations,omitempty"`
	// What ends the drill early.
	Abort *DrillAbort `json:"abort,omitempty"`
	// What the target must carry for the drill to mean anything.
	MinTraffic *DrillTraffic `json:"minTraffic,omitempty"`
}

// DrillTarget is what is lost.
//
// +kubebuilder:validation:XValidation:rule="(self.kind == 'Hub') != has(self.name)",message="a target has a name, but for the Hub"
// +kubebuilder:validation:XValidation:rule="(self.kind == 'Link') == has(self.peer)",message="a Link, and nothing else, has a peer"
// +kubebuilder:validation:XValidation:rule="(self.kind in ['Provider', 'Backend']) == has(self.__namespace__)",message="a Provider or Backend, and nothing else, has a namespace"
// +kubebuilder:validation:XValidation:rule="(self.kind == 'Provider') == has(self.backend)",message="a Provider, and nothing else, has a backend"
type DrillTarget struct {
	// What kind of thing.
	Kind DrillTargetKind `json:"kind"`
	// Its name. Of a Link: the cluster at one end.
	Name Name `json:"name,omitempty"`
	// Of a Link: the cluster at the other end.
	Peer ClusterName `json:"peer,omitempty"`
	// Of a Provider or Backend: its namespace.
	Namespace Label `json:"namespace,omitempty"`
	// Of a Provider: the backend that declares it.
	Backend Name `json:"backend,omitempty"`
	// Of a Provider or Backend: the cluster whose instance is lost; all if unset.
	Cluster ClusterName `json:"cluster,omitempty"`
}

// DrillTargetKind is a kind of thing that a drill loses.
//
// +kubebuilder:validation:Enum=Cluster;Region;Provider;Backend;Link;Hub
type DrillTargetKind string

// The kinds of targets.
const (
	DrillTargetCluster  DrillTargetKind = "Cluster"
	DrillTargetRegion   DrillTargetKind = "Region"
	DrillTargetProvider DrillTargetKind = "Provider"
	DrillTargetBackend  DrillTargetKind = "Backend"
	DrillTargetLink     DrillTargetKind = "Link"
	DrillTargetHub      DrillTargetKind = "Hub"
)

// DrillMode is how the target is lost. DryRun only checks and previews. Kill works
// where a supervisor runs the processes.
//
// +kubebuilder:validation:Enum=DryRun;Cordon;Drain;Fault;Partition;Kill
type DrillMode string

// The modes.
const (
	DrillModeDryRun    DrillMode = "DryRun"
	DrillModeCordon    DrillMode = "Cordon"
	DrillModeDrain     DrillMode = "Drain"
	DrillModeFault     DrillMode = "Fault"
	DrillModePartition DrillMode = "Partition"
	DrillModeKill      DrillMode = "Kill"
)

// DrillFault is a fault put on the target's traffic.
//
// +kubebuilder:validation:ExactlyOneOf=delay;status;close
type DrillFault struct {
	// Share of requests that meet it.
	// +kubebuilder:default=100
	Percent *Percent `json:"percent,omitempty"`
	// Time added.
	Delay Duration `json:"delay,omitempty"`
	// Status code answered.
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=599
	Status int32 `json:"status,omitempty"`
	// Connections closed.
	Close bool `json:"close,omitempty"`
}

// DrillSchedule says when a drill runs by itself.
type DrillSchedule struct {
	// Five cron fields, in UTC.
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	Cron string `json:"cron"`
	// Times in which it may begin; any time if empty.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	Windows []DrillWindow `json:"windows,omitempty"`
	// No run by itself while true.
	Suspend bool `json:"suspend,omitempty"`
}

// DrillWindow is a time of the week, in UTC.
type DrillWindow struct {
	// Days; every day if empty.
	// +kubebuilder:validation:MaxItems=7
	// +listType=set
	Days []Weekday `json:"days,omitempty"`
	// First minute, as 22:00.
	From TimeOfDay `json:"from"`
	// Minute it ends, the next day's if not after from.
	To TimeOfDay `json:"to"`
}

// Weekday is a day of the week.
//
// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
type Weekday string

// TimeOfDay is a time such as 22:00.
//
// +kubebuilder:validation:MaxLength=5
// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
type TimeOfDay string

// DrillExpectations says what a PASS needs. What is unset is not judged.
type DrillExpectations struct {
	// Requests that clients saw fail.
	// +kubebuilder:validation:Minimum=0
	MaxFailed *int64 `json:"maxFailed,omitempty"`
	// Requests that clients never got an answer to.
	// +kubebuilder:validation:Minimum=0
	MaxLost *int64 `json:"maxLost,omitempty"`
	// MCP sessions that were initialised anew.
	// +kubebuilder:validation:Minimum=0
	MaxSessionsReinitialised *int64 `json:"maxSessionsReinitialised,omitempty"`
	// Time from the loss until it is noticed.
	MaxTimeToDetect Duration `json:"maxTimeToDetect,omitempty"`
	// Time from the loss until the last request is served elsewhere.
	MaxTimeToShift Duration `json:"maxTimeToShift,omitempty"`
	// Time from the return until traffic is back.
	MaxTimeToFailback Duration `json:"maxTimeToFailback,omitempty"`
	// Slowest request that met the loss.
	MaxLatency Duration `json:"maxLatency,omitempty"`
}

// DrillAbort says what ends a drill early.
type DrillAbort struct {
	// Share of failed requests over the last ten seconds.
	ErrorPercent *Percent `json:"errorPercent,omitempty"`
	// Failed requests in all.
	// +kubebuilder:validation:Minimum=0
	Failed *int64 `json:"failed,omitempty"`
}

// DrillTraffic is what the target must carry when the drill begins.
type DrillTraffic struct {
	// Share of the prober's and the clients' requests.
	SharePercent *Percent `json:"sharePercent,omitempty"`
	// Requests in flight.
	// +kubebuilder:validation:Minimum=0
	InFlight *int64 `json:"inFlight,omitempty"`
}

// DrillStatus is the latest run of a drill.
type DrillStatus struct {
	// Where the run is.
	Phase DrillPhase `json:"phase,omitempty"`
	// Run, counted from 1.
	Run int64 `json:"run,omitempty"`
	// When it began.
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// When it ended.
	EndedAt *metav1.Time `json:"endedAt,omitempty"`
	// What was checked before.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Preflight []DrillCheck `json:"preflight,omitempty"`
	// What happened, in order.
	// +kubebuilder:validation:MaxItems=512
	// +listType=atomic
	Timeline []DrillEvent `json:"timeline,omitempty"`
	// What was measured.
	Report *DrillReport `json:"report,omitempty"`
	// What it came to.
	Verdict DrillVerdict `json:"verdict,omitempty"`
	// Why, expectation by expectation.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Findings []string `json:"findings,omitempty"`
	// The latest start that was refused since the run.
	Refusal *DrillRefusal `json:"refusal,omitempty"`
	// Conditions.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DrillRefusal is a start that was refused; it is no run.
type DrillRefusal struct {
	// When.
	At metav1.Time `json:"at"`
	// The checks that failed.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Checks []DrillCheck `json:"checks"`
}

// DrillPhase is where a run is.
//
// +kubebuilder:validation:Enum=Pending;Preflight;Running;Recovering;Done
type DrillPhase string

// The phases.
const (
	DrillPhasePending    DrillPhase = "Pending"
	DrillPhasePreflight  DrillPhase = "Preflight"
	DrillPhaseRunning    DrillPhase = "Running"
	DrillPhaseRecovering DrillPhase = "Recovering"
	DrillPhaseDone       DrillPhase = "Done"
)

// DrillCheck is one thing checked before a run.
type DrillCheck struct {
	// What is checked.
	Name string `json:"name"`
	// Whether the run may go on.
	Passed bool `json:"passed"`
	// What was found.
	Message string `json:"message,omitempty"`
}

// DrillEvent is one thing that happened in a run.
type DrillEvent struct {
	// When.
	At metav1.MicroTime `json:"at"`
	// What, in one word, such as Lost, Detected, Shifted, Restored, FailedBack.
	Event string `json:"event"`
	// In which cluster; empty for the fleet.
	Cluster string `json:"cluster,omitempty"`
	// In words.
	Message string `json:"message,omitempty"`
}

// DrillReport is what was measured. A time that was not reached is absent.
type DrillReport struct {
	// From the loss until it was noticed.
	TimeToDetect *metav1.Duration `json:"timeToDetect,omitempty"`
	// From the loss until the last request was served elsewhere.
	TimeToShift *metav1.Duration `json:"timeToShift,omitempty"`
	// From the return until traffic was back.
	TimeToFailback *metav1.Duration `json:"timeToFailback,omitempty"`
	// Slowest request that met the loss.
	MaxLatency *metav1.Duration `json:"maxLatency,omitempty"`
	// Requests, as clients saw them.
	Requests DrillRequests `json:"requests"`
	// Requests in flight at the target when it was lost.
	InFlightAtLoss int64 `json:"inFlightAtLoss"`
	// Share of requests that the target carried before.
	SharePercentBefore Percent `json:"sharePercentBefore"`
	// MCP sessions that were initialised anew.
	SessionsReinitialised int64 `json:"sessionsReinitialised"`
}

// DrillRequests counts requests, as clients saw them.
type DrillRequests struct {
	// Answered well, retried ones counted.
	OK int64 `json:"ok"`
	// Answered with an error.
	Failed int64 `json:"failed"`
	// Answered well after more than one attempt.
	Retried int64 `json:"retried"`
	// Never answered.
	Lost int64 `json:"lost"`
}

// DrillVerdict is what a run came to. INVALID: it showed nothing, for lack of
// traffic or because a check failed.
//
// +kubebuilder:validation:Enum=PASS;FAIL;INVALID;ABORTED
type DrillVerdict string

// The verdicts.
const (
	VerdictPass    DrillVerdict = "PASS"
	VerdictFail    DrillVerdict = "FAIL"
	VerdictInvalid DrillVerdict = "INVALID"
	VerdictAborted DrillVerdict = "ABORTED"
)

// DrillComplete is a condition of Drill: true once a run has ended. Its reasons are
// Pass, Fail, Invalid and Aborted.
const DrillComplete = "Complete"

// Reasons of Drill's condition Complete.
const (
	ReasonPass    = "Pass"
	ReasonFail    = "Fail"
	ReasonInvalid = "Invalid"
	ReasonAborted = "Aborted"
)
