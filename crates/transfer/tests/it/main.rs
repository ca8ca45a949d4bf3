//! Imports and exports: round trips on every engine, files of other programs, malformed files, and resumed imports.

mod fixture;
mod imports;
mod malformed_files;
mod other_programs;
mod other_systems;
mod references;
mod resumed_imports;
mod round_trip;
mod status_headers;
