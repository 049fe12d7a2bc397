#!/bin/sh
# Builds ../stack.elf from this source. Needs a Rust toolchain with its own source (for `-Zbuild-std`) and rust-lld; RUSTC,
# CARGO and LINKER name them.
set -eu
cd "$(dirname "$0")"
: "${RUSTC:=rustc}" "${CARGO:=cargo}" "${LINKER:=rust-lld}"
target="${CARGO_TARGET_DIR:-target}/riscv32imc-unknown-none-elf/release"
export RUSTC RUSTC_BOOTSTRAP=1
RUSTFLAGS="-C linker=$LINKER -C link-arg=-T$PWD/link.x -C link-arg=--gc-sections"
export RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$PWD=stack"
"$CARGO" build --release -Zbuild-std=core --target riscv32imc-unknown-none-elf
cp "$target/stack" ../stack.elf
ls -l ../stack.elf
