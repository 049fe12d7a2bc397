#!/bin/sh
# Builds ../crypto.bin from this source. Needs a Rust toolchain with its own source (for `-Zbuild-std`), rust-lld and
# llvm-objcopy; RUSTC, CARGO, LINKER and OBJCOPY name them.
set -eu
cd "$(dirname "$0")"
: "${RUSTC:=rustc}" "${CARGO:=cargo}" "${LINKER:=rust-lld}" "${OBJCOPY:=llvm-objcopy}"
target="${CARGO_TARGET_DIR:-target}/riscv32imc-unknown-none-elf/release"
export RUSTC RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-C linker=$LINKER -C link-arg=-T$PWD/link.x -C link-arg=--gc-sections"
"$CARGO" build --release -Zbuild-std=core --target riscv32imc-unknown-none-elf
"$OBJCOPY" -O binary "$target/crypto" ../crypto.bin
ls -l ../crypto.bin
