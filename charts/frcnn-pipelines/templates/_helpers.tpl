{{- define "frcnn.labels" -}}
app.kubernetes.io/name: frcnn-pipelines
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Labels by which pods of one component are found: (list . "s3"). */}}
{{- define "frcnn.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: frcnn-pipelines
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "frcnn.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "frcnn" $name) }}{{ $name = printf "%s-frcnn" $name }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "frcnn.toolsImage" -}}
{{- $tag := .Values.images.tag | default .Chart.AppVersion -}}
{{- with trim .Values.images.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.images.tools }}:{{ $tag }}
{{- end }}

{{- define "frcnn.s3Secret" -}}
{{- .Values.s3.existingSecret | default (printf "%s-s3" (include "frcnn.fullname" .)) -}}
{{- end }}

{{- define "frcnn.s3Endpoint" -}}
{{- if .Values.s3Server.enabled -}}
http://{{ include "frcnn.fullname" . }}-s3:8333
{{- else -}}
{{- required "s3.endpoint is needed: the URL of an S3 server, or set s3Server.enabled" (trim .Values.s3.endpoint) -}}
{{- end -}}
{{- end }}

{{- /*
How the chart is rendered: "cluster" by Helm, which looks at the cluster; "blind" for a cluster at which it cannot
look (Argo CD), so that a list of Secrets is not even an empty list; "" for none (helm template).
Helm itself needs the right to list Secrets.
*/}}
{{- define "frcnn.rendering" -}}
{{- if lookup "v1" "Secret" .Release.Namespace "" -}}
cluster
{{- else if .Capabilities.APIVersions.Has "v1/Pod" -}}
blind
{{- end -}}
{{- end }}

{{- /*
Access key and secret key as JSON: given, or those that a look at the cluster finds, or made. Both are empty
where a role stands in for keys, and where an existing secret cannot be looked at.
*/}}
{{- define "frcnn.s3Known" -}}
{{- $name := include "frcnn.s3Secret" . -}}
{{- $rendering := include "frcnn.rendering" . -}}
{{- $old := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
{{- $oldAccess := get $old .Values.s3.accessKeyField | b64dec | trim -}}
{{- $oldSecret := get $old .Values.s3.secretKeyField | b64dec | trim -}}
{{- $access := trim .Values.s3.accessKey -}}
{{- $secret := trim .Values.s3.secretKey -}}
{{- if .Values.s3.existingSecret -}}
  {{- if and (eq $rendering "cluster") (not (and $oldAccess $oldSecret)) -}}
    {{- fail (printf "s3.existingSecret: no secret %s with the keys %s and %s was found in namespace %s. Create it first" $name .Values.s3.accessKeyField .Values.s3.secretKeyField .Release.Namespace) -}}
  {{- else if and (eq $rendering "blind") (ne $name "frcnn-s3") -}}
    {{- fail (printf "s3.existingSecret: the keys of secret %s cannot be copied, because this chart is rendered without access to the cluster (as by Argo CD). Create a secret frcnn-s3 with accesskey, secretkey, endpoint and region in namespace %s, and set s3.existingSecret=frcnn-s3" $name .Release.Namespace) -}}
  {{- end -}}
  {{- $access = $oldAccess -}}
  {{- $secret = $oldSecret -}}
{{- else if .Values.s3Server.enabled -}}
  {{- if and (eq $rendering "blind") (not $secret) -}}
    {{- fail "s3.secretKey is needed, because this chart is rendered without access to the cluster (as by Argo CD): a random key would be another one at each rendering" -}}
  {{- end -}}
  {{- $access = $access | default $oldAccess | default "frcnn" -}}
  {{- $secret = $secret | default $oldSecret | default (randAlphaNum 40) -}}
{{- else if not (eq (include "frcnn.s3ByRole" .) "true") -}}
  {{- $access = required "s3.existingSecret, s3.accessKey or s3Server.enabled=true is needed" $access -}}
  {{- $secret = required "s3.existingSecret, s3.secretKey or s3Server.enabled=true is needed" $secret -}}
{{- end -}}
{{- dict "access" $access "secret" $secret | toJson -}}
{{- end }}

{{- /* Whether pods use the role of their service account in place of keys. */}}
{{- define "frcnn.s3ByRole" -}}
{{- and (not .Values.s3Server.enabled) (not .Values.s3.existingSecret) (not (trim .Values.s3.accessKey)) (not (trim .Values.s3.secretKey)) (gt (len .Values.serviceAccounts.annotations) 0) -}}
{{- end }}

{{- /*
Changes with the keys, so that pods that read them when they start are replaced. By a slow function, since
annotations can be read by many who may not read secrets.
*/}}
{{- define "frcnn.s3Checksum" -}}
{{- $known := fromJson (include "frcnn.s3Known" .) -}}
{{- if and (not .Values.s3.secretKey) .Values.s3Server.enabled -}}
  {{- /* Random keys are kept on upgrades. */ -}}
  kept
{{- else -}}
  {{- derivePassword 1 "maximum" (default "-" $known.secret) (default "-" $known.access) "frcnn" | sha256sum | trunc 16 -}}
{{- end -}}
{{- end }}

{{- /* Size of SeaweedFS's volume files, MB: about a hundred fit on the disk. Each bucket begins with seven. */}}
{{- define "frcnn.volumeSizeMB" -}}
{{- $size := .Values.s3Server.storage -}}
{{- $units := dict "" 0.000001 "k" 0.001 "M" 1.0 "G" 1000.0 "T" 1000000.0 "Ki" 0.001024 "Mi" 1.048576 "Gi" 1073.741824 "Ti" 1099511.627776 -}}
{{- $megabytes := mulf (float64 (regexFind "^[0-9.]+" $size)) (get $units (regexFind "[A-Za-z]*$" $size)) -}}
{{- max 32 (min 30000 (int (divf $megabytes 100.0))) -}}
{{- end }}

{{- define "frcnn.s3Environment" -}}
- name: S3_ENDPOINT
  value: {{ include "frcnn.s3Endpoint" . | quote }}
- name: S3_BUCKET
  value: {{ .Values.s3.bucket | quote }}
- name: AWS_REGION
  value: {{ trim .Values.s3.region | quote }}
{{- if ne (include "frcnn.s3ByRole" .) "true" }}
{{ include "frcnn.s3Keys" . }}
{{- end }}
{{- end }}

{{- define "frcnn.s3Keys" -}}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ include "frcnn.s3Secret" . | quote }}
      key: {{ .Values.s3.accessKeyField }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "frcnn.s3Secret" . | quote }}
      key: {{ .Values.s3.secretKeyField }}
{{- end }}

{{- /* What PodSecurity "restricted" asks of a pod, and of a container. */}}
{{- define "frcnn.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "frcnn.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "frcnn.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Where the chart's own pods may run. */}}
{{- define "frcnn.placement" -}}
{{- with .Values.pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /*
A Job cannot be changed, so its name changes with its content and, where there are such, revisions:
(list . "bucket" content).
*/}}
{{- define "frcnn.jobName" -}}
{{- $root := index . 0 -}}
{{- $digest := printf "%d %s" $root.Release.Revision (index . 2) | sha256sum | trunc 8 -}}
{{ include "frcnn.fullname" $root }}-{{ index . 1 }}-{{ $digest }}
{{- end }}

{{- /* Argo CD runs a Job with these at each sync, and does not miss it once it is gone. */}}
{{- define "frcnn.jobAnnotations" -}}
argocd.argoproj.io/hook: Sync
argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
{{- end }}

{{- /* Namespace of the published pipeline; empty: shared by all namespaces, which a multi-user Kubeflow does not allow. */}}
{{- define "frcnn.publishNamespace" -}}
{{- .Values.publish.namespace | default (ternary .Release.Namespace "" .Values.publish.token) -}}
{{- end }}

{{- /* Values that a schema cannot refuse, because each of them is right by itself. */}}
{{- define "frcnn.together" -}}
{{- $accounts := .Values.serviceAccounts -}}
{{- if or (eq $accounts.launcher $accounts.training) (eq $accounts.publish $accounts.training) (eq $accounts.launcher $accounts.publish) -}}
{{- fail (printf "serviceAccounts: launcher, training and publish need three names, because each has other permissions; found %s, %s and %s" $accounts.launcher $accounts.training $accounts.publish) -}}
{{- end -}}
{{- if and .Values.s3.existingSecret (or .Values.s3.accessKey .Values.s3.secretKey) -}}
{{- fail (printf "s3.existingSecret is %s, but s3.accessKey or s3.secretKey is given, too: keep one of the two" .Values.s3.existingSecret) -}}
{{- end -}}
{{- if and .Values.s3Server.enabled (trim .Values.s3.endpoint) -}}
{{- fail (printf "s3Server.enabled runs an S3 server of its own, but s3.endpoint is %s: keep one of the two" (trim .Values.s3.endpoint)) -}}
{{- end -}}
{{- if contains "\n" (trim .Values.modelKey.value) -}}
{{- fail "modelKey.value has several lines; a key is one line" -}}
{{- end -}}
{{- with .Values.publish.recurring -}}
{{- if and .enabled (not $.Values.publish.enabled) -}}
{{- fail "publish.recurring.enabled needs publish.enabled: a schedule runs the pipeline that the chart publishes" -}}
{{- end -}}
{{- if and .enabled (not .parameters) -}}
{{- fail "publish.recurring.parameters is empty: the pipeline needs data and spec at least" -}}
{{- end -}}
{{- if regexMatch "(^|[,-])7" (.cron | trim | splitList " " | last) -}}
{{- fail (printf "publish.recurring.cron is '%s': Kubeflow counts weekdays from 0 (Sunday) to 6, without 7" .cron) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Names that compiled pipelines refer to are fixed, so that a namespace has room for one release. */}}
{{- define "frcnn.alone" -}}
{{- $account := lookup "v1" "ServiceAccount" .Release.Namespace .Values.serviceAccounts.training -}}
{{- $owner := get (($account.metadata | default dict).annotations | default dict) "meta.helm.sh/release-name" -}}
{{- if and $owner (ne $owner .Release.Name) -}}
{{- fail (printf "release %s of this chart is in namespace %s already, and there is room for one: upgrade it, or use another namespace" $owner .Release.Namespace) -}}
{{- end -}}
{{- end }}
