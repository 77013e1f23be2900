//! `limits`: no limit that the configuration sets is exceeded.
//!
//! Places at an endpoint are counted in `flight`, sendings of a request in `twice`; here are the others. A limit that a reload
//! lowers binds whoever comes after it, and those who are there may stay. Connections to an endpoint are counted for each
//! configuration by itself, because those of the one before end with its requests.

use policy::Instant;

use super::Invariants;

impl Invariants {
    /// A client's connection was accepted.
    pub fn client_came(&mut self, now: Instant, configuration: u32) {
        let newest = self.book.pool_of(configuration).newest;
        let process = self.book.process_of(configuration);
        process.clients += 1;
        let there = process.clients;
        let most = self.book.setup(newest).most_clients;
        self.within(now, there, most, || "client connections were open".to_owned());
    }

    /// A client's connection is open no longer.
    pub fn client_left(&mut self, configuration: u32) {
        let clients = &mut self.book.process_of(configuration).clients;
        *clients = clients.saturating_sub(1);
    }

    /// A request waits for an endpoint with room.
    pub fn waits(&mut self, now: Instant, configuration: u32) {
        let pool = self.book.pool_of(configuration);
        pool.waiting += 1;
        let there = pool.waiting;
        let most = self.book.setup(configuration).most_waiting;
        self.within(now, there, most, || "requests were waiting".to_owned());
    }

    /// A request waits no longer.
    pub fn waits_no_more(&mut self, configuration: u32) {
        let waiting = &mut self.book.pool_of(configuration).waiting;
        *waiting = waiting.saturating_sub(1);
    }

    /// A connection to an endpoint is dialled.
    pub fn dialled(&mut self, now: Instant, configuration: u32, place: u32) {
        let setup = self.book.setup(configuration);
        let connections = &mut setup.connections[place as usize];
        *connections += 1;
        let there = *connections;
        self.connections_are(now, configuration, place, there);
    }

    /// So many connections to an endpoint are open, in a world that does not tell of each.
    pub fn connections_are(&mut self, now: Instant, configuration: u32, place: u32, there: u32) {
        self.limits.check();
        let most = self.book.setup(configuration).most_connections;
        if there > most {
            let (at, name) = (self.at(now), self.book.name(configuration, place));
            self.limits.fail(|| too_many_connections(&at, there, name, most));
        }
    }

    /// A connection to an endpoint is closed.
    pub fn closed(&mut self, configuration: u32, place: u32) {
        let connections = &mut self.book.setup(configuration).connections[place as usize];
        *connections = connections.saturating_sub(1);
    }

    /// An endpoint is ejected until then.
    pub fn ejected(&mut self, now: Instant, configuration: u32, place: u32, until: Instant) {
        self.limits.check();
        let longest = self.book.setup(configuration).longest_ejection;
        let lasts = until.since(now);
        // Ends are kept in whole microseconds.
        if lasts.as_micros() > longest.as_micros() + 1 {
            let (at, name) = (self.at(now), self.book.name(configuration, place));
            self.limits
                .fail(|| format!("{at} {name} was ejected for {lasts:?}, and {longest:?} may be"));
        }
    }

    fn within(&mut self, now: Instant, there: u32, most: u32, what: impl FnOnce() -> String) {
        self.limits.check();
        if there > most {
            let at = self.at(now);
            self.limits.fail(|| format!("{at} {there} {}, and {most} may be", what()));
        }
    }
}

fn too_many_connections(at: &str, there: u32, name: &str, most: u32) -> String {
    format!("{at} {there} connections to {name} were open, and {most} may be")
}
