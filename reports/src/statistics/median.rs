//! The median: the middle value, or the mean of both middle ones.
//!
//! Medians and not means stand for many runs, since one run with an unlucky burst would otherwise speak for all.

/// The median of the finite values among `values`; `None` if there is none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = middle(&sorted)?;
    Some(low + (high - low) / 2.0)
}

/// Where the median stands, of an even number the lower one: for whoever wants one that is there. What is no number does not count.
pub fn lower_median(values: &[f64]) -> Option<usize> {
    let mut places: Vec<usize> = (0..values.len()).filter(|i| values[*i].is_finite()).collect();
    places.sort_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
    places.get(places.len().checked_sub(1)? / 2).copied()
}

/// Both middle values of a sorted list: the same one twice where its length is odd.
pub(super) fn middle(sorted: &[f64]) -> Option<(f64, f64)> {
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2], sorted[last.div_ceil(2)]))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_middle_or_the_mean_of_both() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn the_lower_median_is_one_that_is_there() {
        assert_eq!(lower_median(&[3.0, 1.0, 2.0]), Some(2));
        assert_eq!(lower_median(&[4.0, f64::NAN, 1.0, 2.0, 3.0]), Some(3));
        assert_eq!(lower_median(&[5.0, 5.0]), Some(0));
        assert_eq!(lower_median(&[f64::NAN]), None);
    }
}
