//! Requests that were seen somewhere, to be sent again at their own times.
//!
//! Two formats: a CSV file, and the access log of Apache and nginx. Reading needs no more than the text; who
//! reads the scenario also reads the file. A trace is held in memory, 56 bytes a request, its paths once each.

use std::collections::BTreeMap;

use super::Planned;
use crate::config::{MAX_BODY, TraceFormat};

/// At most so many requests in a trace.
pub const MAX_REQUESTS: usize = 10_000_000;

/// The requests of a trace, in the order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceRequests {
    entries: Vec<Entry>,
    targets: Vec<(String, String)>,
    names_clients: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Entry {
    at: u64,
    target: Option<u32>,
    client: u32,
    body: Option<u64>,
    size: Option<u64>,
    work: Option<u64>,
}

/// The place of a method and a path in the table, by both.
type Targets = BTreeMap<(String, String), u32>;

impl TraceRequests {
    /// Reads a file's text. The error names the line and says what should stand there.
    pub fn read(text: &str, format: TraceFormat) -> Result<Self, String> {
        let mut reading = Reading::default();
        match format {
            TraceFormat::Csv => reading.csv(text)?,
            TraceFormat::Combined => reading.combined(text)?,
        }
        let Reading { mut entries, targets, clients } = reading;
        entries.sort_by_key(|entry| entry.at);
        if format == TraceFormat::Combined {
            spread_seconds(&mut entries);
        }
        let mut table = vec![(String::new(), String::new()); targets.len()];
        for (target, index) in targets {
            table[index as usize] = target;
        }
        Ok(Self { entries, targets: table, names_clients: !clients.is_empty() })
    }

    /// Whether it says who sent what.
    pub fn names_clients(&self) -> bool {
        self.names_clients
    }

    /// How many requests.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When the `index`th is due at speed 1, in nanoseconds since the start.
    pub fn at(&self, index: usize) -> Option<u64> {
        self.entries.get(index).map(|entry| entry.at)
    }

    /// The method and path of the `index`th, where the file says them.
    pub fn target(&self, index: u32) -> Option<(&str, &str)> {
        let target = self.entries.get(index as usize)?.target?;
        self.targets.get(target as usize).map(|(method, path)| (method.as_str(), path.as_str()))
    }

    /// Replaces what was drawn by what the file says.
    pub(super) fn overrule(&self, index: u32, planned: &mut Planned) {
        let Some(entry) = self.entries.get(index as usize) else { return };
        planned.traced = Some(index);
        planned.client = entry.client;
        planned.body = entry.body.unwrap_or(planned.body);
        planned.size = entry.size.or(planned.size);
        planned.work = entry.work.or(planned.work);
    }
}

#[derive(Default)]
struct Reading {
    entries: Vec<Entry>,
    targets: Targets,
    clients: BTreeMap<String, u32>,
}

impl Reading {
    fn push(&mut self, line: usize, entry: Entry) -> Result<(), String> {
        if self.entries.len() >= MAX_REQUESTS {
            return Err(format!("line {line}: a trace has at most {MAX_REQUESTS} requests"));
        }
        self.entries.push(entry);
        Ok(())
    }

    fn target(&mut self, method: &str, path: &str) -> Result<u32, String> {
        let fits = path.starts_with('/') && path.parse::<http::Uri>().is_ok();
        if !fits {
            return Err(format!("`{path}` is not a path"));
        }
        match http::Method::from_bytes(method.as_bytes()) {
            Ok(http::Method::CONNECT) | Err(_) => {
                return Err(format!("`{method}` is not a method that can be sent"));
            }
            Ok(_) => {}
        }
        let next = self.targets.len() as u32;
        Ok(*self.targets.entry((method.to_owned(), path.to_owned())).or_insert(next))
    }

    fn client(&mut self, name: &str) -> u32 {
        let next = self.clients.len() as u32;
        *self.clients.entry(name.to_owned()).or_insert(next)
    }

    fn csv(&mut self, text: &str) -> Result<(), String> {
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        const KNOWN: [&str; 7] = ["at", "method", "path", "client", "body", "size", "work"];
        if let Some(unknown) = header.iter().find(|name| !KNOWN.contains(name)) {
            return Err(format!(
                "line 1: no column is called `{unknown}` (known: {})",
                KNOWN.join(", ")
            ));
        }
        let column = |name| header.iter().position(|known| known == name);
        let Some(at) = column("at") else {
            return Err("line 1: there must be a column `at`: seconds since the start".to_owned());
        };
        let (method, path, client) = (column("method"), column("path"), column("client"));
        let (body, size, work) = (column("body"), column("size"), column("work"));
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let line = record.position().map_or(0, |position| position.line() as usize);
            let cell = |index: Option<usize>| {
                index.and_then(|index| record.get(index)).filter(|text| !text.is_empty())
            };
            let number = |name: &str, index, most: f64| match cell(index) {
                None => Ok(None),
                Some(text) => match text.parse::<f64>() {
                    Ok(value) if (0.0..=most).contains(&value) => Ok(Some(value)),
                    _ => Err(format!(
                        "line {line}: `{text}` in `{name}` must be a number from 0 to {most}"
                    )),
                },
            };
            let Some(seconds) = number("at", Some(at), 1e8)? else {
                return Err(format!("line {line}: `at` is empty"));
            };
            let target = match cell(path) {
                Some(path) => Some(
                    self.target(cell(method).unwrap_or("GET"), path)
                        .map_err(|what| format!("line {line}: {what}"))?,
                ),
                None => None,
            };
            let entry = Entry {
                at: (seconds * 1e9).round() as u64,
                target,
                client: cell(client).map_or(0, |name| self.client(name)),
                body: number("body", body, MAX_BODY as f64)?.map(|bytes| bytes as u64),
                size: number("size", size, MAX_BODY as f64)?.map(|bytes| bytes as u64),
                work: number("work", work, 1e6)?.map(|work| (work * 1e9).round() as u64),
            };
            self.push(line, entry)?;
        }
        Ok(())
    }

    /// `host ident user [10/Oct/2000:13:55:36 -0700] "GET /path HTTP/1.0" 200 2326 …`
    fn combined(&mut self, text: &str) -> Result<(), String> {
        let mut first = i64::MAX;
        let mut seconds = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let number = index + 1;
            let wrong = |what: &str| format!("line {number}: {what}, as in an access log");
            let time = between(line, '[', ']').ok_or_else(|| wrong("there must be a [time]"))?;
            let at = log_time(time)
                .ok_or_else(|| wrong("the time must read [10/Oct/2000:13:55:36 -0700]"))?;
            let request = between(line, '"', '"')
                .ok_or_else(|| wrong("there must be a \"METHOD /path HTTP/1.1\""))?;
            let mut words = request.split(' ');
            // What the server could not read itself ("-", TLS on a plain port) cannot be sent again.
            let (Some(method), Some(path)) = (words.next(), words.next()) else { continue };
            let Ok(target) = self.target(method, path) else { continue };
            let after = line.splitn(3, '"').nth(2).unwrap_or("");
            let size = after.split_whitespace().nth(1).and_then(|bytes| bytes.parse().ok());
            let client = self.client(line.split(' ').next().unwrap_or(""));
            let size = size.map(|size: u64| size.min(MAX_BODY));
            first = first.min(at);
            seconds.push(at);
            self.push(number, Entry { target: Some(target), client, size, ..Entry::default() })?;
        }
        for (entry, at) in self.entries.iter_mut().zip(seconds) {
            entry.at = (at.saturating_sub(first) as u64).saturating_mul(1_000_000_000);
        }
        Ok(())
    }
}

fn between(line: &str, open: char, close: char) -> Option<&str> {
    let start = line.find(open)? + open.len_utf8();
    let length = line[start..].find(close)?;
    Some(&line[start..start + length])
}

/// Spreads the requests of each whole second evenly over it. `entries` are in order.
fn spread_seconds(entries: &mut [Entry]) {
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let second = first.at;
        let count = rest.iter().take_while(|entry| entry.at == second).count();
        let (these, later) = rest.split_at_mut(count);
        for (place, entry) in these.iter_mut().enumerate() {
            entry.at = second.saturating_add(place as u64 * 1_000_000_000 / count as u64);
        }
        rest = later;
    }
}

/// Seconds since 1970 of `10/Oct/2000:13:55:36 -0700`.
fn log_time(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.split(['/', ':']);
    let day: i64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|known| *known == name)? as i64 + 1;
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, hour, minute, second) = (number()?, number()?, number()?, number()?);
    let fits = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    let zone_size: i64 = zone.get(1..)?.parse().ok()?;
    let offset = (zone_size / 100 * 60 + zone_size % 100) * 60;
    let offset = match zone.as_bytes().first()? {
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    // Days since 1970 in the proleptic Gregorian calendar, years starting in March so that the leap day is last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    fits.then(|| ((days * 24 + hour) * 60 + minute) * 60 + second - offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_an_access_log() {
        let log = "\
10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a?x=1 HTTP/1.1\" 200 2326 \"-\" \"curl\"\n\
10.0.0.2 - frank [10/Oct/2000:13:55:36 -0700] \"POST /b HTTP/1.1\" 201 -\n\
10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"\\x16\\x03\" 400 0\n\
10.0.0.1 - - [10/Oct/2000:23:55:38 +0300] \"GET /a?x=1 HTTP/1.1\" 304 0\n";
        let trace = TraceRequests::read(log, TraceFormat::Combined).unwrap();
        let times: Vec<u64> = (0..trace.len()).filter_map(|index| trace.at(index)).collect();
        assert_eq!(times, [0, 500_000_000, 2_000_000_000]);
        assert_eq!(trace.target(0), Some(("GET", "/a?x=1")));
        assert_eq!(trace.target(1), Some(("POST", "/b")));
        assert_eq!(trace.targets.len(), 2, "paths are held once");
        assert_eq!((trace.entries[0].size, trace.entries[1].size), (Some(2326), None));
        assert_eq!((trace.entries[1].client, trace.entries[2].client), (1, 0));
    }

    #[test]
    fn reads_csv() {
        let csv = "at, path, size, work\n1.5, /x, 100, 0.02\n0.5,,,\n";
        let trace = TraceRequests::read(csv, TraceFormat::Csv).unwrap();
        assert_eq!((trace.at(0), trace.at(1)), (Some(500_000_000), Some(1_500_000_000)));
        assert_eq!((trace.target(0), trace.target(1)), (None, Some(("GET", "/x"))));
        assert_eq!(trace.entries[1].work, Some(20_000_000));
    }

    #[test]
    fn says_which_line_is_wrong() {
        let cases = [
            (
                "at,pat\n",
                TraceFormat::Csv,
                "line 1: no column is called `pat` (known: at, method, path, client, body, size, work)",
            ),
            (
                "path\n/x\n",
                TraceFormat::Csv,
                "line 1: there must be a column `at`: seconds since the start",
            ),
            (
                "at\n1\nsoon\n",
                TraceFormat::Csv,
                "line 3: `soon` in `at` must be a number from 0 to 100000000",
            ),
            ("at,path\n1,x y\n", TraceFormat::Csv, "line 2: `x y` is not a path"),
            (
                "hello\n",
                TraceFormat::Combined,
                "line 1: there must be a [time], as in an access log",
            ),
        ];
        for (text, format, message) in cases {
            assert_eq!(TraceRequests::read(text, format).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn dates_are_right() {
        assert_eq!(log_time("10/Oct/2000:13:55:36 -0700"), Some(971_211_336));
        assert_eq!(log_time("29/Feb/2024:00:00:00 +0000"), Some(1_709_164_800));
        assert_eq!(log_time("01/Jan/1970:00:00:00 +0000"), Some(0));
        assert_eq!(log_time("10-Oct-2000 13:55:36"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\PC\n,\"\\[\\]]{0,80}") {
            let _ = TraceRequests::read(&text, TraceFormat::Csv);
            let _ = TraceRequests::read(&text, TraceFormat::Combined);
            let _ = log_time(&text);
        }
    }
}
