//! Ratios of paired values, and their median.
//!
//! The median of ratios is taken on their logarithms' scale: of two middle ones the geometric mean. Then turning every
//! pair round turns the median round (a median of 2 becomes one of ½), and which of two variants is called the baseline
//! makes no difference.

use super::median::middle;

/// No ratio is larger, and none smaller than one by this: where one of a pair is zero, it is taken for this much.
pub const LIMIT: f64 = 1e9;

/// `candidate / baseline` for each pair; a pair in which either is not finite or is negative is left out.
///
/// Both zero is a ratio of 1; one zero is [`LIMIT`] or one over it. Of lists that are not equally long, the rest of the
/// longer one is left out.
pub fn paired_ratios(baseline: &[f64], candidate: &[f64]) -> Vec<f64> {
    let usable = |value: f64| value.is_finite() && value >= 0.0;
    let pairs = baseline.iter().copied().zip(candidate.iter().copied());
    pairs.filter(|(base, value)| usable(*base) && usable(*value)).map(ratio).collect()
}

fn ratio((base, value): (f64, f64)) -> f64 {
    if base == 0.0 && value == 0.0 { 1.0 } else { (value / base).clamp(1.0 / LIMIT, LIMIT) }
}

/// The median of positive ratios; `None` if there is none.
pub fn median_ratio(ratios: &[f64]) -> Option<f64> {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    of_sorted(&sorted)
}

/// The same, of ratios that are sorted already.
pub(super) fn of_sorted(sorted: &[f64]) -> Option<f64> {
    let (low, high) = middle(sorted)?;
    Some(if low < high { (low * high).sqrt() } else { low })
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn turning_the_pairs_round_turns_the_median_round() {
        let (a, b) = ([1.0, 2.0, 5.0, 7.0], [3.0, 1.0, 9.0, 8.0]);
        let there = median_ratio(&paired_ratios(&a, &b)).expect("four pairs");
        let back = median_ratio(&paired_ratios(&b, &a)).expect("four pairs");
        assert!((there * back - 1.0).abs() < 1e-12, "{there} {back}");
    }

    #[test]
    fn zeros_are_bounded_and_what_is_no_number_is_left_out() {
        let ratios = paired_ratios(&[0.0, 0.0, 2.0, f64::NAN, -1.0], &[0.0, 1.0, 0.0, 1.0, 1.0]);
        assert_eq!(ratios, [1.0, LIMIT, 1.0 / LIMIT]);
        assert_eq!(median_ratio(&[]), None);
    }
}
