//! The `muster` program.

mod demo;
mod serve;
mod simulate;

fn main() -> std::process::ExitCode {
    cli::main(&cli::ServingCommands { serve: serve::run, demo: demo::run, simulate: simulate::run })
}
