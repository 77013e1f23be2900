//! What is to be purged, as somebody outside names it: an operator over the admin listener, or an event of a scenario.
//!
//! A URL is not a key: what of its query counts, and whether more counts than the URL, is each service's own affair. So a
//! [`Purging`] is turned into the store's [`Purge`] by the rules of each service.

use super::{Rules, store::Purge};

/// What is to be purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purging {
    /// What is kept for a URL.
    Url {
        /// As in `Host`.
        host: Vec<u8>,
        /// Path and query.
        target: Vec<u8>,
    },
    /// For all URLs that begin so: `host/path`, the host in small letters.
    Prefix(Vec<u8>),
    /// All answers with this tag.
    Tag(Vec<u8>),
    /// Everything.
    Everything,
}

impl Purging {
    /// What that is in the keys that these rules make.
    pub fn by(&self, rules: &Rules) -> Purge {
        match self {
            Self::Url { host, target } => rules.url(host, target),
            Self::Prefix(prefix) => Purge::Prefix(prefix.clone()),
            Self::Tag(tag) => Purge::Tag(tag.clone()),
            // Every key begins with nothing.
            Self::Everything => Purge::Prefix(Vec::new()),
        }
    }

    /// The same by the rules of several services; each purge once.
    pub fn by_all<'a>(what: &[Self], all: impl IntoIterator<Item = &'a Rules>) -> Vec<Purge> {
        let all: Vec<&Rules> = all.into_iter().collect();
        let mut purges = Vec::new();
        for purging in what {
            for rules in &all {
                let purge = purging.by(rules);
                if !purges.contains(&purge) {
                    purges.push(purge);
                }
            }
        }
        purges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::CacheConfig, rng::Seed};

    #[test]
    fn each_service_knows_its_own_keys() {
        let rules = |upstream| Rules::new(&CacheConfig::default(), Seed(1)).of_upstream(upstream);
        let (own, same, other) = (rules(""), rules(""), rules("other"));
        let url = Purging::Url { host: b"Shop".to_vec(), target: b"/%7ea".to_vec() };
        let all = [url, Purging::Tag(b"news".to_vec()), Purging::Everything];
        let purges = Purging::by_all(&all, [&own, &same, &other]);
        let text = |purge: &Purge| match purge {
            Purge::Url { text, .. } | Purge::UrlWithExtras { text } => {
                String::from_utf8_lossy(text).into_owned()
            }
            Purge::Prefix(prefix) => format!("{}*", String::from_utf8_lossy(prefix)),
            Purge::Tag(tag) => format!("tag {}", String::from_utf8_lossy(tag)),
        };
        let texts: Vec<String> = purges.iter().map(text).collect();
        assert_eq!(texts, ["shop/~a", "shop/~a\n@other", "tag news", "*"]);
    }
}
