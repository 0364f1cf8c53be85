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
{{- with .Values.images.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.images.tools }}:{{ $tag }}
{{- end }}

{{- define "frcnn.s3Secret" -}}
{{- .Values.s3.existingSecret | default (printf "%s-s3" (include "frcnn.fullname" .)) -}}
{{- end }}

{{- define "frcnn.s3Endpoint" -}}
{{- if .Values.s3Server.enabled -}}
http://{{ include "frcnn.fullname" . }}-s3:8333
{{- else -}}
{{- required "s3.endpoint is needed: the URL of an S3 server, or set s3Server.enabled" .Values.s3.endpoint -}}
{{- end -}}
{{- end }}

{{- define "frcnn.s3Environment" -}}
- name: S3_ENDPOINT
  value: {{ include "frcnn.s3Endpoint" . | quote }}
- name: S3_BUCKET
  value: {{ .Values.s3.bucket | quote }}
- name: AWS_REGION
  value: {{ .Values.s3.region | quote }}
{{ include "frcnn.s3Keys" . }}
{{- end }}

{{- define "frcnn.s3Keys" -}}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ include "frcnn.s3Secret" . }}
      key: {{ .Values.s3.accessKeyField }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "frcnn.s3Secret" . }}
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
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
