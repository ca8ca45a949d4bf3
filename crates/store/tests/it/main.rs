//! The engines: the suite they share, changes made by chance, and what each of them must
//! withstand.

mod agree;
mod archive;
mod embedded;
mod engines;
mod every;
mod server;
mod suite;
mod two_processes;
mod violations;
