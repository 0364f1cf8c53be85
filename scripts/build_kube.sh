#!/bin/sh
# Builds a Kubernetes API server and its controllers for `make test-kube`, once; prints the folder they are in.
# Needs Go 1.26 or later. With MPI_OPERATOR=<checkout of kubeflow/mpi-operator>, builds that controller, too.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
module="$here/tests/kube/server"
version=$(sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v[^ ]*\).*/\1/p' "$module/go.mod")
folder="${FRCNN_KUBE:-${XDG_CACHE_HOME:-$HOME/.cache}/frcnn/kube/$version}"
mkdir -p "$folder"
if [ ! -x "$folder/kube-apiserver" ] || [ ! -x "$folder/kube-controller-manager" ]; then
  command -v go >/dev/null || { echo "go not found: install Go 1.26 or later" >&2; exit 1; }
  minor=${version#v1.}
  name=k8s.io/component-base/version
  echo "building Kubernetes $version in $folder: some 12 minutes of CPU time" >&2
  (cd "$module" && go build -trimpath -o "$folder/" \
    -ldflags "-s -w -X $name.gitVersion=$version -X $name.gitMajor=1 -X $name.gitMinor=${minor%%.*}" \
    k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager)
fi
if [ -n "${MPI_OPERATOR:-}" ] && [ ! -x "$folder/mpi-operator" ]; then
  echo "building mpi-operator of $MPI_OPERATOR" >&2
  (cd "$MPI_OPERATOR" && go build -trimpath -o "$folder/mpi-operator" ./cmd/mpi-operator)
  cp "$MPI_OPERATOR/manifests/base/kubeflow.org_mpijobs.yaml" "$folder/"
fi
echo "$folder"
