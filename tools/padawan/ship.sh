#!/bin/sh
# Export, examine, cross-check, describe and sign a training run:
#   ship.sh RUN_FOLDER KEY_FILE VERSION [--averaged]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
run=$1 key=$2 version=$3
shift 3
model=$here/../../deploy/models/padawan
python "$here/export.py" --run "$run" --out "$model" "$@"
python "$here/evaluate.py" --model "$model" --figures "$run/figures.json"
python "$here/check_mlx.py" --model "$model" > "$run/mlx.json"
python "$here/card.py" --run "$run" --figures "$run/figures.json" --mlx "$run/mlx.json" --model "$model"
python "$here/sign.py" --model "$model" --key "$key" --version "$version" \
  --public "$here/../../deploy/trust/manifest-pubkey.ed25519"
