//! One connection, and one request on it.
//!
//! **When a request is sent anew.** A server may close a connection that idles at any moment, also at the very one in which
//! the next request is on its way; that is nobody's failure, and every client sends such a request again. We do so once,
//! on a fresh connection, if the connection had served a request before, not one byte of an answer has come, and either
//! hyper hands the request back unwritten, or its method is idempotent (RFC 9110, 9.2.2; RFC 9112, 9.3.1) and the end came
//! within two round trips of the send, by the connection's own measure: how long it took to connect, and 10 ms. An end
//! that comes later is not that race but a server that took the request and died, and counts as a failure.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use hyper::client::conn::http1::{self, SendRequest};
use net::{Net, hyper_io};
use policy::Instant;
use tokio::task::JoinHandle;

use super::{
    body::RequestBody,
    check::{Answer, receive},
    cookies::Cookies,
    fault::Ending,
    follow::{Place, Places},
    template::{Filled, Template},
    wire::Wire,
};
use crate::schedule::{Planned, trace::TraceRequests};

/// On top of two round trips: for the machines at both ends.
const RACE: Duration = Duration::from_millis(10);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: JoinHandle<()>,
    received: Rc<Cell<u64>>,
    connecting: Duration,
    served: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whatever is under way on it is given up, and the socket closed.
        self.driver.abort();
    }
}

/// What a request needs to know of its run.
pub(crate) struct Errand<'a, N> {
    pub(crate) net: &'a N,
    pub(crate) address: SocketAddr,
    pub(crate) template: &'a Template,
    pub(crate) planned: &'a Planned,
    pub(crate) trace: Option<&'a TraceRequests>,
    pub(crate) cookies: &'a Cookies,
    /// Set to the body bytes that were sent.
    pub(crate) bytes_out: &'a Cell<u64>,
}

/// What a run's requests needed of connections.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Connections opened.
    pub(crate) opened: Cell<u64>,
    /// Requests sent anew because their connection had just been closed.
    pub(crate) resent: Cell<u64>,
    /// Connections to the endpoints that redirects lead to.
    places: Places,
}

impl Connection {
    /// Opens one.
    async fn open<N: Net>(net: &N, address: SocketAddr) -> Result<Self, Ending> {
        let from = net.clock().now();
        let stream = net.connect(address).await.map_err(|error| Ending::unconnected(&error))?;
        let received = Rc::new(Cell::new(0));
        let io = hyper_io(Wire::new(stream, Rc::clone(&received)));
        let (sender, connection) =
            http1::handshake(io).await.map_err(|error| Ending::broken(&error))?;
        let driver = tokio::task::spawn_local(async {
            // Its error is also that of the request that was on it.
            let _ = connection.await;
        });
        let connecting = net.clock().now().since(from);
        Ok(Self { sender, driver, received, connecting, served: 0 })
    }

    /// Whether the server has closed it, as far as is known.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Sends one request and reads its answer; if that is a redirect to an endpoint, and `errand` follows, the endpoint's.
pub(crate) async fn exchange<N: Net>(
    errand: Errand<'_, N>,
    connection: &mut Option<Connection>,
    traffic: &Traffic,
    endpoint: impl Fn(&[u8]) -> Option<usize>,
) -> Ending {
    let ending = send(&errand, None, connection, traffic, &endpoint).await;
    let location = match &ending {
        Ending::Answered(answer) if errand.template.follows() => answer.location.as_ref(),
        _ => None,
    };
    let Some(place) = location.and_then(Place::read) else { return ending };
    let mut direct = traffic.places.take(place.address);
    // Boxed: rare, and as large again as what has gone before.
    let ending = Box::pin(send(&errand, Some(&place), &mut direct, traffic, &endpoint)).await;
    if let Some(direct) = direct {
        traffic.places.give(place.address, direct);
    }
    ending
}

/// Sends one request and reads its answer: on `connection` if it is still good, else on a fresh one that is put there.
/// It is left there if it can serve another request. `place` is where a redirect has led.
async fn send<N: Net>(
    errand: &Errand<'_, N>,
    place: Option<&Place>,
    connection: &mut Option<Connection>,
    traffic: &Traffic,
    endpoint: &impl Fn(&[u8]) -> Option<usize>,
) -> Ending {
    let Errand { net, template, planned, trace, cookies, bytes_out, .. } = *errand;
    let address = place.map_or(errand.address, |place| place.address);
    if let Some(kept) = connection
        && kept.sender.ready().await.is_err()
    {
        *connection = None;
    }
    loop {
        let open = match connection.take() {
            Some(kept) => kept,
            None => match Connection::open(net, address).await {
                Ok(fresh) => {
                    traffic.opened.set(traffic.opened.get() + 1);
                    fresh
                }
                Err(ending) => return ending,
            },
        };
        let open = connection.insert(open);
        let Filled { mut request, body, sent, is_idempotent, expected } =
            template.fill(planned, trace);
        if let Some(place) = place {
            place.turn(&mut request);
        }
        let from: Instant = net.clock().now();
        cookies.attach(planned.client, from, request.headers_mut());
        let before = open.received.get();
        let result = open.sender.try_send_request(request).await;
        bytes_out.set(sent.as_ref().map_or(body, |sent| sent.get()));
        let response = match result {
            Ok(response) => response,
            Err(mut error) => {
                let is_unwritten = error.take_message().is_some();
                let is_silent = open.received.get() == before;
                let race = 2 * open.connecting + RACE;
                let is_race = is_idempotent && net.clock().now().since(from) <= race;
                let again = open.served > 0 && is_silent && (is_unwritten || is_race);
                *connection = None;
                if again {
                    traffic.resent.set(traffic.resent.get() + 1);
                    continue;
                }
                return Ending::unanswered(&error);
            }
        };
        let answer: Result<Answer, Ending> = receive(response, expected, endpoint).await;
        open.served += 1;
        let whole = sent.is_none_or(|sent| sent.get() == body);
        return match answer {
            Ok(answer) => {
                if let Some(set) = &answer.cookie {
                    cookies.keep(planned.client, net.clock().now(), set);
                }
                if !answer.keeps || !whole {
                    *connection = None;
                }
                Ending::Answered(answer)
            }
            Err(ending) => {
                *connection = None;
                ending
            }
        };
    }
}
