//! Origins that do what a test tells them: either the test itself accepts their connections and plays the
//! server's part, step by step, or a closure does it on a thread a connection.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::{ANY, DEADLINE, Wire};

/// A raw server.
pub(crate) struct Origin {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    accepted: mpsc::Receiver<Wire>,
}

impl Origin {
    /// One whose part the test plays.
    pub(crate) fn new() -> Self {
        Self::at(ANY)
    }

    /// The same at an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = Arc::new(TcpListener::bind(address).expect("a free address"));
        let address = listener.local_addr().expect("it is bound");
        let (sender, accepted) = mpsc::channel();
        let accepting = Arc::clone(&listener);
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                if sender.send(Wire::new(stream)).is_err() {
                    return;
                }
            }
        });
        Self { address, listener, accepted }
    }

    /// One that treats each of its connections so, on a thread of its own.
    pub(crate) fn serving(part: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        Self::serving_at(ANY, part)
    }

    /// The same at an address.
    pub(crate) fn serving_at(
        address: SocketAddr,
        part: impl Fn(Wire) + Send + Sync + 'static,
    ) -> Self {
        let Self { address, listener, accepted } = Self::at(address);
        let part = Arc::new(part);
        thread::spawn(move || {
            for wire in accepted {
                let part = Arc::clone(&part);
                thread::spawn(move || part(wire));
            }
        });
        // Nobody reads from this one.
        Self { address, listener, accepted: mpsc::channel().1 }
    }

    /// One that answers every request of every connection with 200 and this text.
    pub(crate) fn saying(text: &str) -> Self {
        let response = answer(text);
        Self::serving(move |mut wire| {
            while wire.is_asked() {
                wire.request();
                wire.send(&response);
            }
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Wire {
        self.accepted.recv_timeout(DEADLINE).expect("the proxy connects before the deadline")
    }

    /// The next connection, if one is there already.
    pub(crate) fn accepted_already(&self) -> Option<Wire> {
        self.accepted.try_recv().ok()
    }

    /// Nobody has connected so far.
    pub(crate) fn is_untouched(&self) {
        if let Some(mut wire) = self.accepted_already() {
            let (bytes, _) = wire.rest_and_break();
            panic!("it was asked: {:?}", String::from_utf8_lossy(&bytes));
        }
    }

    /// Stops listening: further connections are refused.
    pub(crate) fn close(&self) {
        SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both).expect("it listens");
    }
}

/// An address that is taken and refuses every connection.
pub(crate) struct Refusing(Socket);

impl Refusing {
    /// A new one.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&ANY.into()).expect("a free port");
        Self(socket)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.0.local_addr().expect("it is bound");
        address.as_socket().expect("an address of the Internet")
    }

    /// Listens from now on.
    pub(crate) fn listen(self) -> Socket {
        self.0.listen(128).expect("it is bound");
        self.0
    }
}

/// A response with this text.
pub(crate) fn answer(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}
