//! A relay in front of a server that loses requests and responses.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    Nothing,
    /// The server gets nothing.
    Request,
    /// The server has answered, the client gets nothing.
    Response,
    /// The client gets the first half.
    HalfOfResponse,
}

/// Listens on one address for each loss.
pub(super) struct LossyRelay {
    addresses: BTreeMap<Loss, String>,
    lost: Arc<AtomicUsize>,
}

impl LossyRelay {
    pub(super) fn start(server: &str) -> Self {
        let lost = Arc::new(AtomicUsize::new(0));
        let losses = [Loss::Nothing, Loss::Request, Loss::Response, Loss::HalfOfResponse];
        let addresses = losses.map(|loss| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let (server, lost) = (server.to_owned(), Arc::clone(&lost));
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let (server, lost) = (server.clone(), Arc::clone(&lost));
                    // A message that cannot be relayed is lost as well.
                    std::thread::spawn(move || drop(relay(client, &server, loss, &lost)));
                }
            });
            (loss, address)
        });
        Self { addresses: addresses.into(), lost }
    }

    pub(super) fn address(&self, loss: Loss) -> String {
        self.addresses[&loss].clone()
    }

    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// Relays one request, which is sent at once, and its response.
fn relay(mut client: TcpStream, server: &str, loss: Loss, lost: &AtomicUsize) -> std::io::Result<()> {
    lost.fetch_add(usize::from(loss != Loss::Nothing), Ordering::SeqCst);
    if loss == Loss::Request {
        return client.shutdown(Shutdown::Both);
    }
    let mut upstream = TcpStream::connect(server)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || drop(std::io::copy(&mut from_client, &mut to_server)));
    let mut response = Vec::new();
    upstream.read_to_end(&mut response)?;
    let kept = match loss {
        Loss::Nothing => response.len(),
        Loss::HalfOfResponse => response.len() / 2,
        Loss::Request | Loss::Response => 0,
    };
    client.write_all(&response[..kept])?;
    client.shutdown(Shutdown::Both)
}
