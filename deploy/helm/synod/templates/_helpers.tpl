{{- define "synod.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "synod.selector" -}}
app.kubernetes.io/name: synod
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "synod.labels" -}}
{{ include "synod.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "synod.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* A disk's identity follows from the cluster's, until the disk is replaced. */ -}}
{{- define "synod.disk" -}}
{{- $node := .node | toString -}}
{{- index .root.Values.disks $node | default (printf "%s/%s" .root.Values.clusterId $node | sha256sum | trunc 32) -}}
{{- end -}}

{{- /* The one file of all nodes. `id`, `data_dir` and `listen` come by variables. */ -}}
{{- define "synod.file" -}}
cluster = {{ .Values.clusterId | quote }}
epoch = {{ .Values.epoch }}
# Each node's own comes by SYNOD_ID.
id = 1

[network]
transport = {{ .Values.transport | quote }}
{{- if eq .Values.transport "tls" }}

# Each node's own come by SYNOD_TLS_CERTIFICATE and SYNOD_TLS_KEY.
[tls]
ca = "/etc/synod-tls/ca.crt"
certificate = "/etc/synod-tls/node-1.crt"
key = "/etc/synod-tls/node-1.key"
{{- range .Values.clients }}

[[client]]
name = {{ .name | quote }}
permissions = {{ .permissions | toJson }}
{{- end }}
{{- end }}

{{ .Values.config | trim }}
{{ range $i := untilStep 1 (int .Values.replicas | add1 | int) 1 }}
[[node]]
id = {{ $i }}
roles = ["leader", "acceptor"]
disk = {{ include "synod.disk" (dict "root" $ "node" $i) | quote }}
# A service has one address for life, a pod has not.
peers = {{ printf "%s-%d.%s.svc.%s:7101" (include "synod.name" $) $i $.Release.Namespace $.Values.clusterDomain | quote }}
clients = {{ printf "%s-%d.%s.svc.%s:7201" (include "synod.name" $) $i $.Release.Namespace $.Values.clusterDomain | quote }}
{{ end -}}
{{- end -}}

{{- define "synod.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "synod.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "synod.variables" -}}
- name: SYNOD_DATA_DIR
  value: /data/synod
- name: SYNOD_LISTEN
  value: "0.0.0.0"
- name: SYNOD_ADMIN_ADDRESS
  value: "0.0.0.0:7301"
{{- if eq .Values.transport "tls" }}
- name: SYNOD_TLS_CERTIFICATE
  value: /etc/synod-tls/node-$(SYNOD_ID).crt
- name: SYNOD_TLS_KEY
  value: /etc/synod-tls/node-$(SYNOD_ID).key
- name: SYNOD_CREDENTIALS
  value: /etc/synod-tls/client
{{- end }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "synod.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
affinity:
  podAntiAffinity:
    {{- if eq .Values.antiAffinity "required" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "synod.selector" . | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "synod.selector" . | nindent 14 }}
    {{- end }}
{{- end -}}
