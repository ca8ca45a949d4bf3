//! The `muster` program.

mod demo;
mod serve;
mod simulate;

fn main() -> std::process::ExitCode {
    server::disable_huge_pages();
    cli::main(&cli::ServingCommands { serve: serve::run, demo: demo::run, simulate: simulate::run })
}
