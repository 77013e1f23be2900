//! How several proxies shared the work: a row for each, from what somebody counted there.
//!
//! A client does not see which of several proxies it came to, so the recorder knows nothing of them. Whoever ran them
//! read at the end of the warm-up and at the end what each had sent to each endpoint.

use serde::{Deserialize, Serialize};

/// One row of the table of proxies: figures of the measured time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyRow {
    /// Its name.
    pub name: String,
    /// Requests that it sent to endpoints, retries included.
    pub requests: u64,
    /// Its part of those of all proxies.
    pub share: f64,
    /// Its requests to its busiest endpoint over the mean of all endpoints; `None` where it sent none.
    pub imbalance: Option<f64>,
    /// Jain's index of its requests over endpoints; `None` where it sent none.
    pub jain: Option<f64>,
}

impl ProxyRow {
    /// The rows of all, from the names of the proxies with what each sent to each endpoint.
    pub fn of_all(sent: Vec<(String, Vec<u64>)>) -> Vec<Self> {
        let total: u64 = sent.iter().flat_map(|(_, counts)| counts).sum();
        let row = |(name, counts): (String, Vec<u64>)| {
            let requests: u64 = counts.iter().sum();
            let spread = Spread::of(&counts);
            Self {
                name,
                requests,
                share: if total > 0 { requests as f64 / total as f64 } else { 0.0 },
                imbalance: spread.map(|spread| spread.imbalance),
                jain: spread.map(|spread| spread.jain),
            }
        };
        sent.into_iter().map(row).collect()
    }
}

/// How evenly requests are spread: the busiest over the mean, and Jain's index (Jain, Chiu, Hawe 1984): (Σx)² / (n Σx²).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The most over the mean; 1 is even.
    pub imbalance: f64,
    /// Jain's fairness index; 1 is even, 1/n is all on one.
    pub jain: f64,
}

impl Spread {
    /// Of these counts; nothing where all are zero.
    pub fn of(counts: &[u64]) -> Option<Self> {
        let total: f64 = counts.iter().map(|count| *count as f64).sum();
        let squares: f64 = counts.iter().map(|count| (*count as f64) * (*count as f64)).sum();
        let n = counts.len() as f64;
        let busiest = counts.iter().copied().max()? as f64;
        (total > 0.0)
            .then(|| Self { imbalance: busiest * n / total, jain: total * total / (n * squares) })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn rows_say_who_had_how_much_of_it_and_how_evenly_it_sent_that_on() {
        let sent = vec![
            ("proxy-0".to_owned(), vec![30, 30]),
            ("proxy-1".to_owned(), vec![20, 0]),
            ("proxy-2".to_owned(), vec![0, 0]),
        ];
        let rows = ProxyRow::of_all(sent);
        let shares: Vec<f64> = rows.iter().map(|row| row.share).collect();
        assert_eq!(shares, [0.75, 0.25, 0.0]);
        let spread = |row: &ProxyRow| row.imbalance.zip(row.jain);
        assert_eq!(
            rows.iter().map(spread).collect::<Vec<_>>(),
            [Some((1.0, 1.0)), Some((2.0, 0.5)), None]
        );
        assert!(ProxyRow::of_all(vec![("proxy-0".to_owned(), Vec::new())])[0].imbalance.is_none());
    }
}
