//! How often an invariant was checked, how often it broke, and the first few times in words.

use reports::InvariantResult;

/// So many examples are kept.
const EXAMPLES: usize = 5;

/// The count of one invariant.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    checked: u64,
    broken: u64,
    examples: Vec<String>,
}

impl Count {
    /// One more check.
    #[inline]
    pub(super) fn check(&mut self) {
        self.checked += 1;
    }

    /// So many more at once.
    pub(super) fn check_many(&mut self, checks: u64) {
        self.checked += checks;
    }

    /// The latest check has failed.
    #[cold]
    pub(super) fn fail(&mut self, example: impl FnOnce() -> String) {
        self.fail_many(1, example);
    }

    /// So many of the latest checks have failed.
    #[cold]
    pub(super) fn fail_many(&mut self, failed: u64, example: impl FnOnce() -> String) {
        self.broken += failed;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }

    /// What has become of it; `why` says why nothing was checked, if so.
    pub(super) fn result(&self, name: &str, promise: &str, why: &str) -> InvariantResult {
        InvariantResult {
            name: name.to_owned(),
            promise: promise.to_owned(),
            checked: self.checked,
            broken: self.broken,
            examples: self.examples.clone(),
            unchecked: (self.checked == 0).then(|| why.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_told() {
        let mut count = Count::default();
        assert_eq!(count.result("a", "b", "c").unchecked.as_deref(), Some("c"));
        for number in 0..20 {
            count.check();
            count.fail(|| number.to_string());
        }
        let result = count.result("a", "b", "c");
        assert_eq!((result.checked, result.broken, result.unchecked), (20, 20, None));
        assert_eq!(result.examples, ["0", "1", "2", "3", "4"]);
    }
}
