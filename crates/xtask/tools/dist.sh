#!/bin/sh
# What a release publishes, in target/distrib: the program with licenses, its SBOM (CycloneDX) and checksums.
# Arguments: the folder that cargo builds in, the program cargo-cyclonedx.
set -eu
target=$1
cyclonedx=$2
version=$(cargo pkgid --package muster | sed 's/.*[#@]//')
host=$(rustc --version --verbose | sed -n 's/^host: //p')
release="muster-$version-$host"

cargo build --locked --profile dist --package muster
rm -rf "$target/distrib"
mkdir -p "$target/distrib/$release"
cp "$target/dist/muster" LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md "$target/distrib/$release"
tar -C "$target/distrib" -czf "$target/distrib/$release.tar.gz" "$release"

# It writes a file beside the manifest of every crate of the workspace.
"$cyclonedx" cyclonedx --quiet --format json --target "$host" --override-filename "$release" \
  --manifest-path crates/muster/Cargo.toml
mv "crates/muster/$release.json" "$target/distrib/$release.cdx.json"
rm -f crates/*/"$release.json"

cd "$target/distrib"
sha256sum "$release.tar.gz" "$release.cdx.json" | tee SHA256SUMS
