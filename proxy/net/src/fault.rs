//! What can go wrong on a simulated network, and what shows that it did.
//!
//! One vocabulary for every simulated network: a scenario's events are told to [`Faults`] and to nothing else. Cuts
//! hold bytes and let dials hang, as a cable that was pulled does: nothing is refused and nothing is told. Loss delays,
//! as a retransmission does: a stream never misses a byte. A fault that met nothing tests nothing, so [`Hits`] counts what
//! faults have touched; a run whose fault leaves it unchanged must say so.

use std::fmt;

use policy::{
    distribution::Distribution,
    quantity::{Bandwidth, TimeSpan},
};

/// A change of the network, between hosts that are called by their names. What is on its way already arrives: a
/// change of a link applies to what is sent from then on.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkFault {
    /// Nothing gets from one host to the other any more. Bytes are held, dials hang.
    Cut {
        /// The sending side.
        from: String,
        /// The receiving side.
        to: String,
    },
    /// Ends a cut. What was held flows at its sender's next retransmission: 200 ms after it was first sent, and then
    /// after twice the last pause, up to 120 s (RFC 6298).
    Repair {
        /// The sending side.
        from: String,
        /// The receiving side.
        to: String,
    },
    /// Another one-way latency.
    Latency {
        /// The sending side.
        from: String,
        /// The receiving side.
        to: String,
        /// The time on the way, drawn for each segment; segments of one stream do not overtake each other.
        latency: Distribution<TimeSpan>,
    },
    /// Another bandwidth.
    Rate {
        /// The sending side.
        from: String,
        /// The receiving side.
        to: String,
        /// Shared by all connections; `None` is without limit.
        bandwidth: Option<Bandwidth>,
    },
    /// Segments are lost with a probability, and sent again after 200 ms, 400 ms, ….
    Loss {
        /// The sending side.
        from: String,
        /// The receiving side.
        to: String,
        /// From 0 to 1.
        probability: f64,
    },
    /// A host's tasks and sockets go at once.
    Crash {
        /// Which.
        host: String,
        /// What dies.
        what: Crash,
    },
    /// A crashed host can be used again; nothing runs on it yet.
    Restart {
        /// Which.
        host: String,
    },
}

/// What dies when a host crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process; its kernel lives. Peers see an orderly end, or a reset where something was left unread; dials are refused.
    Process,
    /// The machine. Peers see nothing; dials hang. What is sent to it is answered by a reset once it has been restarted.
    Machine,
}

/// Why a fault could not be inflicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// No host is called so.
    UnknownHost(String),
    /// A parameter is impossible: its name, and what it must be.
    Impossible(&'static str, String),
    /// This network cannot do that, though another could: what it is, and what to write instead.
    Unsupported(String),
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHost(name) => write!(f, "no host of this network is called `{name}`"),
            Self::Impossible(name, what) => write!(f, "`{name}` {what}"),
            Self::Unsupported(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for FaultError {}

/// What every link between two hosts is like unless a fault changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkSettings {
    /// The time on the way, one way.
    pub latency: Distribution<TimeSpan>,
    /// Without limit when there is none.
    pub bandwidth: Option<Bandwidth>,
    /// The probability that a segment is lost and has to be sent again, 0 to 1.
    pub loss: f64,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self { latency: Distribution::Constant(TimeSpan::default()), bandwidth: None, loss: 0.0 }
    }
}

impl LinkSettings {
    /// What is impossible about them: the parameter's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        match self {
            Self { loss, .. } if !(0.0..=1.0).contains(loss) => bad("loss", "must be 0 to 1"),
            Self { bandwidth: Some(Bandwidth(0)), .. } => bad("bandwidth", "must be above 0"),
            Self { latency, .. } => latency.problem(),
        }
    }
}

/// What faults have touched since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Bytes that a cut, or a dead machine, has held back.
    pub bytes_held: u64,
    /// Segments that were lost and sent again.
    pub segments_lost: u64,
    /// Dials of which a packet met a cut or a dead machine.
    pub dials_hung: u64,
    /// Dials that nobody listened to.
    pub dials_refused: u64,
    /// First packets of dials that a full backlog dropped.
    pub dials_dropped: u64,
    /// Ends of connections that have seen a reset.
    pub connections_reset: u64,
    /// Tasks that a crash has ended, not counting those that they had spawned themselves.
    pub tasks_dropped: u64,
    /// Ends of connections, and listeners, that a crash has closed.
    pub sockets_dropped: u64,
}

/// A network that things can go wrong on.
pub trait Faults {
    /// Applies `fault` now.
    ///
    /// # Errors
    /// When it names a host that does not exist, or is impossible; nothing has changed then.
    fn inflict(&self, fault: &NetworkFault) -> Result<(), FaultError>;

    /// What faults have touched so far.
    fn hits(&self) -> Hits;

    /// How often what `fault` did was felt, since the last fault of its kind was inflicted on the same link or host; 0 where
    /// none was, or where no host is called so. Its parameters are not looked at.
    ///
    /// | fault | counts |
    /// |---|---|
    /// | `Cut` | bytes held, and packets without bytes: of dials, their answers, ends, resets |
    /// | `Repair` | of these, what it has let through: not the dials and streams that were given up before |
    /// | `Latency` | segments sent since, dials included |
    /// | `Rate` | segments that the limit has delayed; without a limit, segments sent since |
    /// | `Loss` | segments that were lost; at a probability of 0, segments sent since |
    /// | `Crash` | tasks and sockets that it has dropped |
    /// | `Restart` | as `Repair`, of what was held for, or by, a dead machine |
    ///
    /// What is held because a machine is dead, and not because of a cut, counts for no `Cut`.
    fn touched(&self, fault: &NetworkFault) -> u64;

    /// Cuts both ways between two hosts.
    fn partition(&self, a: &str, b: &str) -> Result<(), FaultError> {
        self.inflict(&NetworkFault::Cut { from: a.to_owned(), to: b.to_owned() })?;
        self.inflict(&NetworkFault::Cut { from: b.to_owned(), to: a.to_owned() })
    }

    /// Repairs both ways between two hosts.
    fn repair(&self, a: &str, b: &str) -> Result<(), FaultError> {
        self.inflict(&NetworkFault::Repair { from: a.to_owned(), to: b.to_owned() })?;
        self.inflict(&NetworkFault::Repair { from: b.to_owned(), to: a.to_owned() })
    }
}

/// What the last fault of each kind on one link, or on one host, has touched; nothing is counted of a kind that never was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Touched([Option<u64>; 7]);

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cut,
    Repair,
    Latency,
    Rate,
    Loss,
    Crash,
    Restart,
}

/// Where a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// From one host to another.
    Link(&'a String, &'a String),
    Host(&'a String),
}

impl NetworkFault {
    pub(crate) fn place(&self) -> Place<'_> {
        match self {
            Self::Cut { from, to }
            | Self::Repair { from, to }
            | Self::Latency { from, to, .. }
            | Self::Rate { from, to, .. }
            | Self::Loss { from, to, .. } => Place::Link(from, to),
            Self::Crash { host, .. } | Self::Restart { host } => Place::Host(host),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Cut { .. } => Kind::Cut,
            Self::Repair { .. } => Kind::Repair,
            Self::Latency { .. } => Kind::Latency,
            Self::Rate { .. } => Kind::Rate,
            Self::Loss { .. } => Kind::Loss,
            Self::Crash { .. } => Kind::Crash,
            Self::Restart { .. } => Kind::Restart,
        }
    }
}

impl Touched {
    /// A fault of this kind begins.
    pub(crate) fn begin(&mut self, kind: Kind) {
        self.0[kind as usize] = Some(0);
    }

    pub(crate) fn add(&mut self, kind: Kind, count: u64) {
        if let Some(sum) = &mut self.0[kind as usize] {
            *sum += count;
        }
    }

    pub(crate) fn get(&self, kind: Kind) -> u64 {
        self.0[kind as usize].unwrap_or(0)
    }
}
