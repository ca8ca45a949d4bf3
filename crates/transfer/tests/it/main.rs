//! Files in and out: round trips on every engine, files of other programs, and files that are not what they should be.

mod broken;
mod foreign;
mod house;
mod importing;
mod other_systems;
mod references;
mod resuming;
mod round_trip;
mod state_headers;
