//! One end of a connection, as a test holds it: it writes bytes as they are given and reads messages strictly.
//!
//! The reader is deliberately naive and independent of the codec under test: lines, fields, and a body by the one
//! framing that the head states.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use socket2::SockRef;

use super::{DEADLINE, with_deadlines};

/// One end of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Read and not used yet: from `used` on.
    ahead: Vec<u8>,
    used: usize,
}

/// A request or a response as it was on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The whole head, its empty line included.
    pub(crate) head: String,
    /// The content, without its framing.
    pub(crate) body: Vec<u8>,
    /// The trailer fields, a line each with its line end.
    pub(crate) trailers: String,
}

/// What a message without a framing has for a body.
#[derive(Clone, Copy)]
enum Unframed {
    Nothing,
    UntilEnd,
}

impl Message {
    /// The first line.
    pub(crate) fn start(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// A response's status.
    pub(crate) fn status(&self) -> u16 {
        let status = self.start().split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status line: {}", self.head))
    }

    /// The values of the fields of this name, joined as one list.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let values: Vec<&str> =
            lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The content as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The head's fields without those whose value is not known beforehand.
    pub(crate) fn head_without_date(&self) -> String {
        self.head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
    }
}

impl Wire {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::new(stream)
    }

    /// Connects with a small receive buffer, so that what is not read soon blocks the sender.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("a buffer size");
        socket.connect(&address.into()).expect("it listens");
        Self::new(socket.into())
    }

    /// This stream.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream: with_deadlines(stream), ahead: Vec::new(), used: 0 }
    }

    /// A second handle, for a thread that writes while this one reads.
    pub(crate) fn twin(&self) -> Self {
        Self::new(self.stream.try_clone().expect("a second handle"))
    }

    /// Writes all of it.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the peer takes it");
    }

    /// Writes all of it, if the peer still wants it.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Writes it byte by byte.
    pub(crate) fn drip(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// Writes until the peer takes no more for `pause`; how much it has taken.
    pub(crate) fn flood(&mut self, piece: &[u8], most: usize, pause: Duration) -> usize {
        self.stream.set_write_timeout(Some(pause)).expect("it is not zero");
        let mut taken = 0;
        while taken < most {
            match self.stream.write(piece) {
                Ok(count) if count > 0 => taken += count,
                _ => break,
            }
        }
        self.stream.set_write_timeout(Some(DEADLINE)).expect("it is not zero");
        taken
    }

    /// Ends our half.
    pub(crate) fn end_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// The same, where the peer may be gone already.
    pub(crate) fn end_sending_if_open(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 << 10];
        let count = match self.stream.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("nothing came before the deadline; so far: {}", self.seen())
            }
            result => result?,
        };
        self.ahead.drain(..std::mem::take(&mut self.used));
        self.ahead.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// Whether another request comes, at an origin: false when the proxy has ended the connection. Without a deadline,
    /// because an idle connection is nothing wrong.
    pub(crate) fn is_asked(&mut self) -> bool {
        if !self.ahead().is_empty() {
            return true;
        }
        self.stream.set_read_timeout(None).expect("none is always possible");
        let more = self.more().unwrap_or(false);
        self.stream.set_read_timeout(Some(DEADLINE)).expect("it is not zero");
        more
    }

    fn seen(&self) -> String {
        let shown = &self.ahead()[..self.ahead().len().min(2000)];
        format!("{:?}", String::from_utf8_lossy(shown))
    }

    fn need(&mut self, what: &str) -> io::Result<()> {
        let kind = match self.more() {
            Ok(true) => return Ok(()),
            Ok(false) => io::ErrorKind::UnexpectedEof,
            Err(error) => error.kind(),
        };
        Err(io::Error::new(kind, format!("{kind} instead of {what}; so far: {}", self.seen())))
    }

    fn ahead(&self) -> &[u8] {
        &self.ahead[self.used..]
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.ahead()[..count].to_vec();
        self.used += count;
        taken
    }

    fn take_all(&mut self) -> Vec<u8> {
        self.take(self.ahead().len())
    }

    /// Exactly so many bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        self.try_exactly(count).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead().len() < count {
            self.need("the rest")?;
        }
        Ok(self.take(count))
    }

    /// The next bytes are these.
    pub(crate) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let got = self.exactly(bytes.len());
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(bytes));
    }

    fn try_line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(at) = self.ahead().windows(2).position(|pair| pair == b"\r\n") {
                break at + 2;
            }
            self.need("a line")?;
        };
        Ok(String::from_utf8(self.take(end)).expect("lines are ASCII here"))
    }

    /// A head, to its empty line.
    pub(crate) fn head(&mut self) -> String {
        self.try_head().unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_head(&mut self) -> io::Result<String> {
        let mut head = self.try_line()?;
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(head, "\r\n", "an empty line before the head");
            head += &self.try_line()?;
        }
        Ok(head)
    }

    /// A request, its body included.
    pub(crate) fn request(&mut self) -> Message {
        self.try_request().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same; an error where the connection ends or breaks within it.
    pub(crate) fn try_request(&mut self) -> io::Result<Message> {
        let head = self.try_head()?;
        self.try_body(head, Unframed::Nothing)
    }

    /// A final response to a GET or the like.
    pub(crate) fn response(&mut self) -> Message {
        self.try_response().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same; an error where the connection ends or breaks within it.
    pub(crate) fn try_response(&mut self) -> io::Result<Message> {
        let message = Message { head: self.try_head()?, ..Message::default() };
        assert!(message.status() >= 200, "not final: {}", message.head);
        if matches!(message.status(), 204 | 304) {
            return Ok(message);
        }
        self.try_body(message.head, Unframed::UntilEnd)
    }

    fn try_body(&mut self, head: String, unframed: Unframed) -> io::Result<Message> {
        let mut message = Message { head, ..Message::default() };
        match (message.field("Transfer-Encoding"), message.field("Content-Length")) {
            (Some(coding), None) => {
                assert_eq!(coding, "chunked");
                (message.body, message.trailers) = self.try_chunks()?;
            }
            (None, Some(length)) => {
                message.body = self.try_exactly(length.parse().expect("a number"))?;
            }
            (None, None) => match unframed {
                Unframed::Nothing => {}
                Unframed::UntilEnd => message.body = self.rest(),
            },
            (Some(_), Some(_)) => panic!("two framings: {}", message.head),
        }
        Ok(message)
    }

    /// A response to HEAD.
    pub(crate) fn response_to_head(&mut self) -> Message {
        Message { head: self.head(), ..Message::default() }
    }

    /// A chunked body and its trailers.
    pub(crate) fn chunks(&mut self) -> (Vec<u8>, String) {
        self.try_chunks().unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_chunks(&mut self) -> io::Result<(Vec<u8>, String)> {
        let mut body = Vec::new();
        loop {
            let line = self.try_line()?;
            let size = usize::from_str_radix(line.trim_end(), 16)
                .unwrap_or_else(|_| panic!("not a chunk size: {line:?}"));
            if size == 0 {
                break;
            }
            body.extend(self.try_exactly(size)?);
            assert_eq!(self.try_exactly(2)?, b"\r\n", "the end of a chunk");
        }
        let mut trailers = String::new();
        loop {
            match self.try_line()? {
                end if end == "\r\n" => return Ok((body, trailers)),
                line => trailers += &line,
            }
        }
    }

    /// All that comes until the connection ends in order.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return self.take_all(),
                Err(error) => panic!("no orderly end but {error}; so far: {}", self.seen()),
            }
        }
    }

    /// All that comes until the connection ends or breaks, and whether it broke.
    pub(crate) fn rest_and_break(&mut self) -> (Vec<u8>, bool) {
        let broke = loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => break false,
                Err(_) => break true,
            }
        };
        (self.take_all(), broke)
    }

    /// The connection ends in order, and nothing more comes.
    pub(crate) fn ends(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// The connection ends in whatever way, and nothing more comes.
    pub(crate) fn ends_or_breaks(&mut self) {
        let (rest, _) = self.rest_and_break();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// The connection breaks: the peer sees a reset and no orderly end.
    pub(crate) fn breaks(&mut self) -> Vec<u8> {
        let (rest, broke) = self.rest_and_break();
        assert!(broke, "an orderly end after {:?}", String::from_utf8_lossy(&rest));
        rest
    }
}

/// So many bytes that tell by their values where they belong.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    // A prime period, so that no buffer size can hide a piece that is missing or doubled.
    (0..length).map(|at| (at % 251) as u8).collect()
}
