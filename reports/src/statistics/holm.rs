//! Holm's correction: asking many questions finds something by chance.
//!
//! Holm, "A simple sequentially rejective multiple test procedure" (1979). The smallest of m p-values is multiplied by m,
//! the next by m − 1 and so on, and none may fall below the one before. The chance to call any difference where there is
//! none at all is then at most alpha, whatever the questions have to do with each other (and strategies that face the same
//! requests have much to do with each other).
//!
//! What belongs to a family is a decision: here it is the variants of one comparison by *one* metric. Every metric more
//! would make every difference harder to find; so the metric of the question decides, and others are a family each.

/// The corrected p-values, in the order of `p`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max(p[index] * (p.len() - rank) as f64).min(1.0);
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // 0.01 × 4, 0.015 × 3 = 0.045, 0.03 × 2 = 0.06, 0.04 × 1 but not below 0.06.
        let corrected = holm(&[0.04, 0.01, 0.03, 0.015]);
        let expected = [0.06, 0.04, 0.06, 0.045];
        for (found, expected) in corrected.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn one_question_needs_no_correction() {
        assert_eq!(holm(&[0.03]), [0.03]);
    }
}
