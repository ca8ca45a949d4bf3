//! The engines: the suite they share, changes made by chance, and what only the embedded one must withstand.

mod agree;
mod embedded;
mod engines;
mod suite;
