//! The tools of the tests are true to their word.

mod clusters;
mod proxy_faults;
mod smtp;
