//! `basic_auth`: asks for a name and a password (RFC 7617).
//!
//! A password's hash is slow by design, and a worker serves thousands of clients: it must not compute one for each request. What was
//! checked is remembered for a while (`verified`), good and bad apart; only what is new is computed, and not here: the filter says
//! [`Verdict::Check`], and who drives it computes that beside the worker (the engine on a thread for blocking work, the simulation at once, since no time
//! passes there that somebody could wait for) and asks again. How many are computed at a time is bounded by who does it.
//!
//! A name that nobody has takes as long as a wrong password: it is checked against somebody else's hash, and fails whatever comes out.

use std::{cell::RefCell, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    Filter, FromFile, Verdict, headers, password,
    verified::{Mark, Marks},
    when::{Test, When},
};
use crate::{
    Instant, Seed,
    message::{Asked, Edits, Reply},
    pattern,
    quantity::TimeSpan,
};

/// How many credentials are remembered that were good, and how many that were not.
const REMEMBERED: usize = 4096;
/// For how long those that were not.
const BAD: Duration = Duration::from_mins(1);
/// Longer credentials nobody has.
const LONGEST: usize = 1024;

/// Who may pass.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For which requests; all by default.
    #[serde(skip_serializing_if = "When::is_any")]
    pub when: When,
    /// What browsers show when they ask.
    pub realm: String,
    /// Names, and hashes of their passwords: argon2, or bcrypt as `htpasswd -nB NAME` prints it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, String>,
    /// A file with more of them, `NAME:HASH` in each line, as `htpasswd -B` makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FromFile>,
    /// How long credentials that were good are so without being hashed again.
    pub remember: TimeSpan,
    /// Whether the endpoint gets to see `Authorization`.
    pub forward: bool,
    /// A field that tells the endpoint the user's name; what the client itself sends in it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_header: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            when: When::default(),
            realm: "restricted".to_owned(),
            users: BTreeMap::new(),
            file: None,
            remember: TimeSpan::secs(300),
            forward: true,
            user_header: None,
        }
    }
}

/// Without the hashes.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "basic_auth of {:?} with {} users and {:?}",
            self.realm,
            self.users.len(),
            self.file
        )
    }
}

fn line_problem(line: &str) -> Option<String> {
    match line.split_once(':') {
        None => Some("is not `NAME:HASH`".to_owned()),
        Some((name, hash)) => name_problem(name).or_else(|| password::problem(hash)),
    }
}

fn name_problem(name: &str) -> Option<String> {
    (name.is_empty() || name.contains(':') || name.chars().any(char::is_control))
        .then(|| "a name must not be empty, nor have a `:` or a control character in it".to_owned())
}

impl super::Config for Config {
    fn problem(&self) -> Option<(String, String)> {
        let wrong = |key: &str, message: String| Some((key.to_owned(), message));
        if let Some(problem) = self.when.problem_below("when") {
            return Some(problem);
        }
        if let Some(message) = headers::value_problem(&self.realm) {
            return wrong("realm", message);
        }
        if !self.realm.is_ascii() || self.realm.contains(['"', '\\']) {
            return wrong("realm", "must be ASCII without `\"` and `\\`".to_owned());
        }
        for (name, hash) in &self.users {
            if let Some(message) = name_problem(name).or_else(|| password::problem(hash)) {
                return wrong(&pattern::entry("users", name), message);
            }
        }
        if let Some(file) = &self.file
            && let Some(message) = file.problem_of_lines(line_problem)
        {
            return wrong("file", message);
        }
        if self.users.is_empty() && self.file.is_none() {
            let message =
                "lets nobody in; write `users = { NAME = \"HASH\" }` or `file = \"htpasswd\"`";
            return wrong("", message.to_owned());
        }
        if !(TimeSpan::secs(1)..=TimeSpan::secs(86_400)).contains(&self.remember) {
            return wrong("remember", "must be 1s to 24h".to_owned());
        }
        let name = self.user_header.as_ref().filter(|name| !pattern::is_token(name));
        name.and_then(|name| {
            wrong(
                "user_header",
                format!("`{name}` is no name of a field; write one like \"X-User\""),
            )
        })
    }

    fn files(&mut self) -> Vec<(&'static str, &mut FromFile)> {
        let mut files = self.when.files_below();
        files.extend(self.file.as_mut().map(|file| ("file", file)));
        files
    }

    fn build(&self, seed: Seed) -> Box<dyn Filter> {
        let lines = self.file.iter().flat_map(FromFile::lines);
        let lines = lines.filter_map(|line| line.split_once(':'));
        let own = self.users.iter().map(|(name, hash)| (&**name, &**hash));
        let users = lines.chain(own);
        let mut rng = seed.stream("filter.basic_auth");
        let mut key = [0; 32];
        for chunk in key.chunks_mut(8) {
            chunk.copy_from_slice(&rng.bits().to_le_bytes());
        }
        let fields = [("Content-Type", "text/plain; charset=utf-8".to_owned())];
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.realm);
        let fields = fields.into_iter().chain([("WWW-Authenticate", challenge)]);
        Box::new(BasicAuth {
            test: Test::new(&self.when),
            users: users.map(|(name, hash)| (name.as_bytes().into(), hash.into())).collect(),
            mac: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"),
            good: RefCell::new(Marks::new(REMEMBERED, self.remember.0)),
            bad: RefCell::new(Marks::new(REMEMBERED, BAD)),
            forward: self.forward,
            user_header: self.user_header.clone(),
            refusal: Reply {
                status: 401,
                fields: fields.map(|(name, value)| (name.into(), value.into_bytes())).collect(),
                body: b"a name and a password are needed\n".as_slice().into(),
                reason: "unauthorized",
            },
        })
    }
}

/// A password that has to be checked, which takes tens of milliseconds.
#[derive(Clone, PartialEq)]
pub struct Check {
    mark: Mark,
    password: Box<[u8]>,
    /// Whose hash; nobody has that name if it is a decoy.
    hash: Arc<str>,
    decoy: bool,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(…)")
    }
}

impl Check {
    /// Computes it. Long: not on a worker's thread.
    pub fn run(&self) -> bool {
        password::verify(&self.password, &self.hash) && !self.decoy
    }
}

struct BasicAuth {
    test: Test,
    /// Hashes by names.
    users: BTreeMap<Box<[u8]>, Arc<str>>,
    mac: Hmac<Sha256>,
    good: RefCell<Marks>,
    bad: RefCell<Marks>,
    forward: bool,
    user_header: Option<String>,
    refusal: Reply,
}

/// Without the key and the hashes.
impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BasicAuth of {} users", self.users.len())
    }
}

impl BasicAuth {
    fn mark(&self, credentials: &[u8]) -> Mark {
        let mut mac = self.mac.clone();
        mac.update(credentials);
        let whole = mac.finalize().into_bytes();
        std::array::from_fn(|index| whole[index])
    }
}

/// The credentials, `name:password`; nothing unless there is one `Authorization` of this kind.
fn credentials(asked: &Asked<'_>) -> Option<Vec<u8>> {
    let (mut found, mut several) = (None, false);
    asked.fields.each(&mut |name, value| {
        if name.eq_ignore_ascii_case(b"authorization") {
            several |= found.is_some();
            found = Some(value.to_vec());
        }
        true
    });
    let value = found.filter(|value| !several && value.len() <= LONGEST)?;
    let (scheme, text) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let credentials = BASE64_STANDARD.decode(text.trim_ascii()).ok()?;
    credentials.contains(&b':').then_some(credentials)
}

impl Filter for BasicAuth {
    fn on_request(&self, asked: &Asked<'_>, now: Instant, edits: &mut Edits) -> Verdict {
        if !self.test.passes(asked) {
            // Where nobody is asked for a name nobody has one.
            if let Some(field) = &self.user_header
                && asked.fields.find(field).is_some()
            {
                edits.remove(field.clone());
            }
            return Verdict::Pass;
        }
        let refused = || Verdict::Answer(self.refusal.clone());
        let Some(credentials) = credentials(asked) else { return refused() };
        let colon = credentials.iter().position(|byte| *byte == b':').unwrap_or_default();
        let name = &credentials[..colon];
        let mark = self.mark(&credentials);
        if self.good.borrow().has(&mark, now) {
            if !self.forward {
                edits.remove("Authorization");
            }
            if let Some(field) = &self.user_header {
                edits.set(field.clone(), name);
            }
            return Verdict::Pass;
        }
        if self.bad.borrow().has(&mark, now) {
            return refused();
        }
        let known = self.users.get(name);
        let Some(hash) = known.or_else(|| self.users.values().next()) else { return refused() };
        Verdict::Check(Check {
            mark,
            password: credentials[colon + 1..].into(),
            hash: Arc::clone(hash),
            decoy: known.is_none(),
        })
    }

    fn learn(&self, check: &Check, passed: bool, now: Instant) {
        let marks = if passed { &self.good } else { &self.bad };
        marks.borrow_mut().put(check.mark, now);
    }
}
