//! The `muster` program.

mod demo;
mod serve;

fn main() -> std::process::ExitCode {
    cli::main(&cli::ServingCommands { serve: serve::run, demo: demo::run })
}
