//! The server from outside: over real sockets where the socket matters, through the shell where it does not.

mod badkeys;
mod browser;
mod ceilings;
mod clients;
mod commands;
mod crash;
mod door;
mod everywhere;
mod first_release;
mod keys;
mod lives;
mod moving;
mod neutral;
mod oauth;
mod outages;
mod own_stores;
mod packages;
mod scim_model;
mod scim_rows;
mod scim_stories;
mod scim_walks;
mod secrets;
mod seeds;
mod support;
mod traces;
mod transcripts;
