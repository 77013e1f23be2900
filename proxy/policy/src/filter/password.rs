//! Hashes of passwords: argon2 (RFC 9106) and bcrypt (Provos and Mazières 1999).
//!
//! Both are slow so that whoever steals them learns little. What `htpasswd` makes without `-B` (MD5, SHA-1, crypt) is not: those are
//! refused, with what to do instead. A hash says itself how much work it is, and one that would take the machine's memory is refused, too.

use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};

/// KiB of memory that an argon2 hash may take.
const MEMORY: u32 = 1 << 18;
/// Passes over it.
const PASSES: u32 = 64;
/// The logarithm of the rounds of a bcrypt hash.
const COST: u32 = 16;

/// What is wrong with a hash.
pub(super) fn problem(hash: &str) -> Option<String> {
    if hash.starts_with("$argon2") {
        let Ok(parsed) = PasswordHash::new(hash) else {
            return Some(
                "is no argon2 hash; copy the whole of it, from `$argon2id$` on".to_owned(),
            );
        };
        let of = |name| parsed.params.get_decimal(name);
        let dear = of("m").is_none_or(|memory| memory > MEMORY)
            || of("t").is_none_or(|passes| passes > PASSES);
        return dear
            .then(|| "takes more than 256 MiB or 64 passes; make one that takes less".to_owned());
    }
    if hash.starts_with("$2") {
        let cost = hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
        let whole = hash.parse::<bcrypt::HashParts>().is_ok();
        if !whole || cost.is_none_or(|cost| cost < 4) {
            return Some(
                "is no bcrypt hash; copy the whole of it, 60 characters from `$2b$` on".to_owned(),
            );
        }
        let dear = cost.is_some_and(|cost| cost > COST);
        return dear.then(|| "has a cost of more than 16; make one that takes less".to_owned());
    }
    Some(
        "is no hash of argon2 or bcrypt; write what `htpasswd -nB NAME` or `argon2` prints"
            .to_owned(),
    )
}

/// Whether this is the password. Takes as long as the hash says, tens of milliseconds, whether it is or not.
pub(super) fn verify(password: &[u8], hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        let parsed = PasswordHash::new(hash);
        return parsed.is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}
