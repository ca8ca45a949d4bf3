//! The HTTP client against real servers, honest and hostile ones.

mod http_client;
mod test_server;
