//! The tools of the tests are true to their word.

mod clusters;
mod meddling;
mod smtp;
