//! Tests of the test tools: PostgreSQL clusters, the proxy and the mail server.

mod clusters;
mod proxy_faults;
mod smtp;
