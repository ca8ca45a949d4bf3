//! Checks the dependency tree (`cargo metadata` for this host): licenses, duplicate versions and pinned versions. An
//! exception that is no longer needed is also an error.

use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Licenses that require only attribution. Each must be needed by a crate.
const LICENSES: [&str; 9] =
    ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];

/// A crate with several versions, its semver-compatible version prefixes, and the reason.
type Duplicate = (&'static str, &'static [&'static str], &'static str);

const DUPLICATES: [Duplicate; 11] = [
    ("base64", &["0.22", "0.23"], "jsonwebtoken and tokio-postgres still use the older one, lettre and bcrypt do not"),
    ("bit-vec", &["0.8", "0.9"], "tests only: fancy-regex of jsonschema has the older one, proptest the newer"),
    ("const-oid", &["0.9", "0.10"], "tokio-postgres-rustls reads certificates with x509-cert 0.2"),
    ("embedded-io", &["0.4", "0.6"], "optional in postcard, neither is built"),
    ("fallible-iterator", &["0.2", "0.3"], "tokio-postgres has the older one, rusqlite the newer"),
    ("getrandom", &["0.2", "0.3", "0.4"], "ring has the oldest one, ahash of jsonschema in tests the middle one"),
    ("hashbrown", &["0.14", "0.16", "0.17"], "governor and its dashmap have older ones"),
    ("nom", &["7", "8"], "tests only: rcgen's parser of certificates has the older one"),
    ("pem", &["3", "4"], "jsonwebtoken has the older one, rcgen in tests the newer"),
    ("rand_core", &["0.6", "0.10"], "jsonwebtoken's signature has the older one"),
    ("syn", &["2", "3"], "macros are moving to 3: tracing, zeroize and x509-cert have not"),
];

/// A crate that Cargo.lock keeps at an older version, the prefix of that version, and the reason.
type PinnedVersion = (&'static str, &'static str, &'static str);

const PINNED_VERSIONS: [PinnedVersion; 1] =
    [("idna_adapter", "1.1.", "1.1 uses crates that tokio-postgres needs anyway; 1.2 adds 20 ICU crates")];

struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let packages = packages(root)?;
    check_licenses(&packages, &LICENSES, &mut found);
    check_duplicates(&packages, &DUPLICATES, &mut found);
    check_pinned(&packages, &PINNED_VERSIONS, &mut found);
    Ok(found)
}

/// All packages that Cargo resolves for this host, including build dependencies and dev-dependencies.
fn packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let version = output(root, "rustc", &["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--quiet", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&output(root, "cargo", &arguments)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let package = |package: &Value| {
        Some(Package {
            name: text(&package["name"])?,
            version: text(&package["version"])?,
            license: text(&package["license"]),
        })
    };
    packages.iter().map(|value| package(value).context("a package without a name or version")).collect()
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).current_dir(root).output();
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn check_licenses(packages: &[Package], allowed: &[&str], found: &mut Vec<String>) {
    let mut unneeded: BTreeSet<&str> = allowed.iter().copied().collect();
    for Package { name, version, license } in packages {
        let Some(license) = license else {
            found.push(format!("{name} {version} declares no license"));
            continue;
        };
        let expression = match spdx::Expression::parse_mode(license, spdx::ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => {
                found.push(format!("{name} {version} has an invalid license expression: {license}: {}", error.reason));
                continue;
            }
        };
        // An exception (`WITH`) only adds permissions, but none is needed so far.
        let is_met_by = |allowed: &dyn Fn(&str) -> bool| {
            expression
                .evaluate(|wanted| wanted.addition.is_none() && wanted.license.id().is_some_and(|id| allowed(id.name)))
        };
        if is_met_by(&|name| allowed.contains(&name)) {
            // Keep those that this crate can do without.
            unneeded.retain(|without| is_met_by(&|name| name != *without && allowed.contains(&name)));
        } else {
            found.push(format!("{name} {version} has a license that is not allowed: {license}"));
        }
    }
    found.extend(
        unneeded.iter().map(|license| format!("no crate needs the license {license} (remove it from LICENSES)")),
    );
}

fn check_duplicates(packages: &[Package], known: &[Duplicate], found: &mut Vec<String>) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(compatible_prefix(&package.version));
    }
    versions.retain(|_, versions| versions.len() > 1);
    for (name, expected, _) in known {
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        match versions.remove(name) {
            Some(versions) if versions == expected => {}
            Some(versions) => found.push(format!(
                "{name} has versions {}; DUPLICATES lists {}",
                join_versions(&versions),
                join_versions(&expected)
            )),
            None => found.push(format!("{name} has only one version (remove it from DUPLICATES)")),
        }
    }
    for (name, versions) in versions {
        found.push(format!(
            "{name} has versions {} (`cargo tree --invert {name}@VERSION` shows why)",
            join_versions(&versions)
        ));
    }
}

/// `cargo update` would select the latest version again.
fn check_pinned(packages: &[Package], chosen: &[PinnedVersion], found: &mut Vec<String>) {
    for (name, version, why) in chosen {
        if !packages.iter().any(|package| package.name == *name && package.version.starts_with(version)) {
            found.push(format!("{name} is not at {version}x in Cargo.lock: {why}"));
        }
    }
}

fn join_versions(versions: &BTreeSet<&str>) -> String {
    versions.iter().copied().collect::<Vec<_>>().join(" and ")
}

/// The part of a version up to its first nonzero number, in which incompatible versions differ.
fn compatible_prefix(version: &str) -> &str {
    let end = version.split('.').scan(0, |end, number| {
        *end += number.len() + 1;
        Some((*end - 1, number))
    });
    let mut end = end.skip_while(|(_, number)| *number == "0");
    &version[..end.next().map_or(version.len(), |(end, _)| end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: &str) -> Package {
        Package { name: name.into(), version: version.into(), license: Some(license.into()) }
    }

    #[test]
    fn licenses_match_the_list_exactly() {
        let of = |license: &str, allowed: &[&str]| {
            let mut found = Vec::new();
            check_licenses(&[package("a", "1.0.0", license)], allowed, &mut found);
            found
        };
        let none: [&str; 0] = [];
        assert_eq!(of("MIT", &["MIT"]), none);
        assert_eq!(of("GPL-3.0-only OR MIT", &["MIT"]), none);
        assert_eq!(of("MIT/Apache-2.0", &["MIT"]), none);
        assert_eq!(of("(MIT OR Apache-2.0) AND ISC", &["ISC", "MIT"]), none);
        assert_eq!(
            of("MIT AND GPL-3.0-only", &["MIT"])[0],
            "a 1.0.0 has a license that is not allowed: MIT AND GPL-3.0-only"
        );
        assert_eq!(of("GPL-2.0-only WITH Classpath-exception-2.0", &["GPL-2.0-only"]).len(), 2);
        assert!(of("My own", &["MIT"])[0].starts_with("a 1.0.0 has an invalid license expression"));
        // Either license alone suffices, so neither is needed.
        assert_eq!(of("MIT OR ISC", &["ISC", "MIT"]).len(), 2);
        assert_eq!(of("MIT", &["ISC", "MIT"]), ["no crate needs the license ISC (remove it from LICENSES)"]);
    }

    #[test]
    fn a_missing_license_is_reported() {
        let mut found = Vec::new();
        check_licenses(&[Package { name: "a".into(), version: "1.0.0".into(), license: None }], &[], &mut found);
        assert_eq!(found, ["a 1.0.0 declares no license"]);
    }

    #[test]
    fn duplicates_match_the_list_exactly() {
        let of = |versions: &[&str], known: &[Duplicate]| {
            let packages: Vec<Package> = versions.iter().map(|version| package("a", version, "MIT")).collect();
            let mut found = Vec::new();
            check_duplicates(&packages, known, &mut found);
            found
        };
        let none: [&str; 0] = [];
        let known: &[Duplicate] = &[("a", &["0.9", "0.10"], "why")];
        assert_eq!(of(&["0.9.1"], &[]), none);
        assert_eq!(of(&["0.9.1", "0.10.2"], known), none);
        assert!(of(&["0.9.1", "0.10.2"], &[])[0].starts_with("a has versions 0.10 and 0.9 "));
        assert_eq!(of(&["0.10.2"], known), ["a has only one version (remove it from DUPLICATES)"]);
        assert!(of(&["0.9.1", "0.10.2", "1.0.0"], known)[0].ends_with("DUPLICATES lists 0.10 and 0.9"));
    }

    #[test]
    fn a_missing_pinned_version_is_reported() {
        let of = |version: &str| {
            let mut found = Vec::new();
            check_pinned(&[package("a", version, "MIT")], &[("a", "1.1.", "1.2 is large")], &mut found);
            found
        };
        assert!(of("1.1.4").is_empty());
        assert_eq!(of("1.2.0"), ["a is not at 1.1.x in Cargo.lock: 1.2 is large"]);
    }

    #[test]
    fn versions_are_compared_as_semantic_versioning_does() {
        let of = |version| compatible_prefix(version);
        assert_eq!((of("1.2.3"), of("0.22.1"), of("0.0.3"), of("0.0.0")), ("1", "0.22", "0.0.3", "0.0.0"));
        assert_eq!(of("1.2.1+spec-1.1.0"), "1");
    }
}
