#!/usr/bin/env bash
# What a change of a policy would have meant: the policy at a git revision beside the one in the working tree, over recorded samples.
# For a pull request; `pull-request.yml` beside this file calls it.
#
#   PERENNIAL_SAMPLES_URL=postgresql+psycopg://… compare.sh BASE POLICY.yaml MODEL.yaml… [-- OPTIONS of `perennial replay`…]
set -euo pipefail
base=${1:?a git revision, as in origin/main} policy=${2:?the file that declares the policy}
shift 2
models=()
while (($#)) && [[ $1 != -- ]]; do models+=(-f "$1"); shift; done
(($#)) && shift
((${#models[@]})) || { echo "compare.sh: name at least one file that declares a model" >&2; exit 2; }

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git show "$base:./$policy" >"$before/before.yaml"
cp "$policy" "$before/after.yaml"

others=()
for file in "${models[@]}"; do [[ $file == -f ]] || others+=(--compare "$file"); done
perennial replay -f "$before/after.yaml" "${models[@]}" --compare "$before/before.yaml" "${others[@]}" "$@"
