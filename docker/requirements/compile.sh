#!/bin/sh
# Makes the hash-pinned requirements of the images from pyproject.toml and constraints.txt: `make requirements`. Needs uv.
set -eu
cd "$(dirname "$0")/../.."

compile() {
    target="docker/requirements/$1"
    shift
    uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header --constraint constraints.txt \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 --output-file "$target" "$@"
}

# torch, and what its CUDA build brings along; the CPU image is to have none of that.
cuda="$(grep -oE '^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==' constraints.txt | tr -d '=')"

# shellcheck disable=SC2046 # an option for each name
compile service.txt --extra tracing --extra cluster $(printf -- '--no-emit-package %s ' $cuda) pyproject.toml docker/requirements/service.in
echo "$cuda" | compile torch-cuda.txt --no-deps -
# The wheels of this index are others than PyPI's, with digests of their own.
echo torch | compile torch-cpu.txt --no-deps --default-index https://download.pytorch.org/whl/cpu -
