// Judges an Experiment as Katib does: with the code of its validating webhook, of the controller that makes the
// job of a trial, of the webhook that changes the trial's pod, and of the collector that reads its log.
//
//	go run . validate < experiment.json
//	go run . trial assignments.json < experiment.json
//	go run . collect LOG METRIC FILTER
//
// Each prints one JSON document.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	configapis "github.com/kubeflow/katib/pkg/apis/config/v1beta1"
	katibapis "github.com/kubeflow/katib/pkg/apis/controller"
	common "github.com/kubeflow/katib/pkg/apis/controller/common/v1beta1"
	experiments "github.com/kubeflow/katib/pkg/apis/controller/experiments/v1beta1"
	suggestions "github.com/kubeflow/katib/pkg/apis/controller/suggestions/v1beta1"
	trials "github.com/kubeflow/katib/pkg/apis/controller/trials/v1beta1"
	"github.com/kubeflow/katib/pkg/controller.v1beta1/consts"
	"github.com/kubeflow/katib/pkg/controller.v1beta1/experiment/manifest"
	collector "github.com/kubeflow/katib/pkg/metricscollector/v1beta1/file-metricscollector"
	"github.com/kubeflow/katib/pkg/webhook/v1beta1/experiment/validator"
	"github.com/kubeflow/katib/pkg/webhook/v1beta1/pod"
)

const trialName = "searched-0a1b2c3d"

// Names the file with the configuration that Katib's standalone installation comes with.
const configVariable = "KATIB_CONFIG"

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("expected validate, trial or collect"))
	}
	switch os.Args[1] {
	case "validate":
		show(validate(readExperiment()))
	case "trial":
		show(trial(readExperiment(), readAssignments(os.Args[2])))
	case "collect":
		show(collect(os.Args[2], os.Args[3], os.Args[4]))
	default:
		fail(fmt.Errorf("unknown command %s", os.Args[1]))
	}
}

// validate returns what the validating webhook objects to.
func validate(experiment *experiments.Experiment) map[string]any {
	objections := []string{}
	generator := manifest.New(cluster(experiment))
	for _, each := range validator.New(generator).ValidateExperiment(experiment, nil) {
		objections = append(objections, each.Error())
	}
	return map[string]any{"objections": objections}
}

// trial returns the job of a trial, and the pod of its primary container as the mutating webhook leaves it.
func trial(experiment *experiments.Experiment, assignments []common.ParameterAssignment) map[string]any {
	store := cluster(experiment)
	job, err := manifest.New(store).GetRunSpecWithHyperParameters(
		experiment, trialName, experiment.Namespace, assignments)
	if err != nil {
		fail(err)
	}
	if err := store.Create(context.Background(), owned(job.DeepCopy())); err != nil {
		fail(err)
	}
	original := podOf(job)
	mutated, err := pod.NewSidecarInjector(store, admission.NewDecoder(store.Scheme())).Mutate(
		original, experiment.Namespace)
	if err != nil {
		fail(err)
	}
	return map[string]any{"job": job.Object, "pod": mutated}
}

// collect returns the values that the metrics collector finds in a log.
func collect(log, metric, filter string) map[string]any {
	found, err := collector.CollectObservationLog(log, []string{metric}, []string{filter}, common.TextFormat)
	if err != nil {
		fail(err)
	}
	values := [][]string{}
	for _, each := range found.MetricLogs {
		values = append(values, []string{each.TimeStamp, each.Metric.Name, each.Metric.Value})
	}
	return map[string]any{"values": values}
}

// podOf returns a pod of the primary container's template, as the job's controller would make it.
func podOf(job *unstructured.Unstructured) *corev1.Pod {
	path := []string{"spec", "template"}
	if job.GetKind() == "MPIJob" {
		path = []string{"spec", "mpiReplicaSpecs", "Launcher", "template"}
	}
	template, _, err := unstructured.NestedMap(job.Object, path...)
	if err != nil {
		fail(err)
	}
	var made corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, &made); err != nil {
		fail(err)
	}
	made.Namespace, made.GenerateName = job.GetNamespace(), trialName+"-"
	if job.GetKind() == "MPIJob" {
		made.Labels[primaryLabel] = "launcher"
	}
	made.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: job.GetAPIVersion(), Kind: job.GetKind(), Name: job.GetName()},
	}
	return &made
}

const primaryLabel = "training.kubeflow.org/job-role"

func owned(job *unstructured.Unstructured) *unstructured.Unstructured {
	job.SetOwnerReferences([]metav1.OwnerReference{
		{APIVersion: "kubeflow.org/v1beta1", Kind: "Trial", Name: trialName},
	})
	return job
}

// cluster returns a client of a cluster that holds Katib's configuration, the experiment and a trial of it.
func cluster(experiment *experiments.Experiment) client.Client {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, katibapis.AddToScheme, configapis.AddToScheme} {
		if err := add(scheme); err != nil {
			fail(err)
		}
	}
	settings, err := os.ReadFile(os.Getenv(configVariable))
	if err != nil {
		fail(fmt.Errorf("%s: %w", configVariable, err))
	}
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: consts.KatibConfigMapName, Namespace: consts.DefaultKatibNamespace},
		Data:       map[string]string{consts.LabelKatibConfigTag: string(settings)},
	}
	labels := map[string]string{consts.LabelExperimentName: experiment.Name}
	running := &trials.Trial{
		ObjectMeta: metav1.ObjectMeta{Name: trialName, Namespace: experiment.Namespace, Labels: labels},
		Spec: trials.TrialSpec{
			Objective:            experiment.Spec.Objective,
			PrimaryContainerName: experiment.Spec.TrialTemplate.PrimaryContainerName,
			PrimaryPodLabels:     experiment.Spec.TrialTemplate.PrimaryPodLabels,
			EarlyStoppingRules: []common.EarlyStoppingRule{
				{Name: experiment.Spec.Objective.ObjectiveMetricName, Value: "0.5", Comparison: "less", StartStep: 2},
			},
		},
	}
	if experiment.Spec.MetricsCollectorSpec != nil {
		running.Spec.MetricsCollector = *experiment.Spec.MetricsCollectorSpec
	}
	about := metav1.ObjectMeta{Name: experiment.Name, Namespace: experiment.Namespace}
	suggestion := &suggestions.Suggestion{
		ObjectMeta: about,
		Spec: suggestions.SuggestionSpec{
			Algorithm: experiment.Spec.Algorithm, EarlyStopping: experiment.Spec.EarlyStopping,
		},
	}
	objects := []client.Object{config, running, suggestion, experiment.DeepCopy()}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func readExperiment() *experiments.Experiment {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	var found experiments.Experiment
	if err := json.Unmarshal(text, &found); err != nil {
		fail(err)
	}
	found.SetDefault()
	return &found
}

func readAssignments(path string) []common.ParameterAssignment {
	text, err := os.ReadFile(path)
	if err != nil {
		fail(err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(text, &values); err != nil {
		fail(err)
	}
	found := []common.ParameterAssignment{}
	for name, value := range values {
		found = append(found, common.ParameterAssignment{Name: name, Value: value})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	return found
}

func show(document map[string]any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
