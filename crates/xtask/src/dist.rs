//! What a release publishes: the program with licenses, its SBOM (CycloneDX) and checksums, in `target/distrib`.

use crate::dependencies::output;
use crate::{repo_root, run, target_dir, tools};
use anyhow::Context;
use std::fs;

pub(crate) fn dist() -> anyhow::Result<()> {
    run("cargo", &["build", "--locked", "--profile", "dist", "--package", "muster"])?;
    let rustc = output(&repo_root(), "rustc", &["--version", "--verbose"])?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc reports no host")?;
    let release = format!("muster-{}-{host}", env!("CARGO_PKG_VERSION"));
    let distrib = target_dir().join("distrib");
    drop(fs::remove_dir_all(&distrib));
    let folder = distrib.join(&release);
    fs::create_dir_all(&folder)?;
    fs::copy(target_dir().join("dist/muster"), folder.join("muster"))?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"] {
        fs::copy(repo_root().join(name), folder.join(name))?;
    }
    let distrib_path = distrib.display().to_string();
    run("tar", &["-C", &distrib_path, "-czf", &format!("{distrib_path}/{release}.tar.gz"), &release])?;
    let cyclonedx = tools::cyclonedx()?.display().to_string();
    let manifest = repo_root().join("crates/muster/Cargo.toml").display().to_string();
    let options = ["--format", "json", "--target", host, "--override-filename", &release, "--manifest-path", &manifest];
    run(&cyclonedx, &[&["cyclonedx"], &options[..]].concat())?;
    fs::rename(repo_root().join(format!("crates/muster/{release}.json")), distrib.join(format!("{release}.cdx.json")))?;
    let sums = format!("cd '{distrib_path}' && sha256sum {release}.tar.gz {release}.cdx.json > SHA256SUMS && cat SHA256SUMS");
    run("sh", &["-c", &sums])
}
