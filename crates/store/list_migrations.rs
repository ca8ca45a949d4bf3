//! The build script of engines with migrations: it lists them, so that adding a migration only takes a new file.

#![expect(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::fmt::Write as _;
use std::path::Path;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=migrations");
    let folder = Path::new("migrations");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".sql").map(str::to_owned));
    }
    names.sort_unstable();
    let mut list = String::from("&[");
    for (index, name) in names.into_iter().enumerate() {
        let (number, title) = name.split_once('_').unwrap_or((&name, ""));
        let expected = format!("{:04}", index + 1);
        if number != expected {
            return Err(std::io::Error::other(format!("migrations/{name}.sql should have the number {expected}")));
        }
        let path = std::path::absolute(folder.join(&name))?;
        // Writing to a string cannot fail.
        let _ = write!(list, "({:?}, include_str!(\"{}.sql\")),", title.replace('_', " "), path.display());
    }
    list.push(']');
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    std::fs::write(Path::new(&out).join("migrations.rs"), list)
}
