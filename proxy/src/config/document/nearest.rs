//! "Did you mean …?": the known name that a misspelt one is nearest to.
//!
//! Optimal string alignment (Damerau 1964): insertions, deletions, replacements and swaps of neighbours each
//! cost one. A name is suggested when at most a third of the word would have to change, and a name that is
//! only longer or shorter (`endpoints` for `endpoint`) is always near.

/// The known name nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let word: Vec<char> = word.to_lowercase().chars().take(LONGEST + 1).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter_map(|name| {
            let letters: Vec<char> = name.to_lowercase().chars().take(LONGEST).collect();
            let edits = distance(&word, &letters);
            let shorter = word.len().min(letters.len());
            let extends =
                shorter >= 3 && (word.starts_with(&letters) || letters.starts_with(&word));
            let near = edits <= (word.len().max(letters.len()) / 3).max(1) && edits < letters.len();
            (near || extends).then_some((edits, name))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// How many edits make one word the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut before_last: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; width];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant_and_nothing_wild() {
        let known = ["strategy", "choices", "decay", "endpoint", "p2c", "hash"];
        for (word, meant) in [
            ("stratgy", Some("strategy")),
            ("startegy", Some("strategy")),
            ("Strategy", Some("strategy")),
            ("endpoints", Some("endpoint")),
            ("choice", Some("choices")),
            ("p3c", Some("p2c")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }
}
