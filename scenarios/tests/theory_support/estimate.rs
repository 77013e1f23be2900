//! An interval for a mean over time, from batch means.
//!
//! The measured time of each run is cut into batches. A figure is a ratio (the sum of response times over the number of requests; the
//! requests beyond a bound over all), so it is estimated as the ratio of the sums, and a batch's residual is what its numerator
//! differs by from that ratio of its denominator (Law, *Simulation Modeling and Analysis*, section 9.5.3): plain means of batches would
//! be too low, because a batch with more requests is one with longer queues.
//!
//! Batch means are neither quite independent nor normal: residuals of neighbours are correlated, and queues have bad days but no
//! equally good ones. Student's t alone then promises too much. So the interval is that of Skart (Tafazzoli and Wilson 2011, *IIE
//! Transactions* 43): the variance is multiplied by (1+φ)/(1-φ), φ the correlation of neighbouring batches, and
//! the quantiles of t are bent by the skewness (Willink 2005, *Communications in Statistics* 34). Where φ is so large that
//! the correction is not to be believed, the batches are too short, and that is an error and no result.

/// Student's t with 29 degrees of freedom (three runs of ten batches), two-sided: 95 % and 99.99 %. A hundred checks with the
/// second give a false alarm once in a hundred seeds.
pub(crate) const T_95: f64 = 2.0452;
pub(crate) const T_9999: f64 = 4.5055;

/// More than this and the batches are too short.
const MOST_CORRELATED: f64 = 0.6;

/// No interval may be wider than this part of what is estimated.
const WIDEST: f64 = 0.9;
/// The largest 6at in Willink's transformation.
const MOST_BENT: f64 = 0.7;

/// A batch: numerator and denominator.
pub(crate) type Batch = (f64, f64);

/// An estimate, and the standard error and shape of its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    error: f64,
    skewness: f64,
    /// Correlation of neighbouring batches.
    pub(crate) correlation: f64,
    batches: f64,
}

impl Estimate {
    /// Of the batches of some runs, each in the order of time.
    pub(crate) fn of(runs: &[Vec<Batch>]) -> Self {
        let all = || runs.iter().flatten();
        let n = all().count() as f64;
        let (numerator, denominator) = all().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let value = numerator / denominator;
        let residual = |(x, y): &Batch| (x - value * y) * n / denominator;
        let square = all().map(|batch| residual(batch).powi(2)).sum::<f64>();
        let cube = all().map(|batch| residual(batch).powi(3)).sum::<f64>();
        let variance = square / (n - 1.0);
        let pairs = runs.iter().flat_map(|run| run.windows(2));
        let (mut together, mut count) = (0.0, 0.0);
        for pair in pairs {
            together += residual(&pair[0]) * residual(&pair[1]);
            count += 1.0;
        }
        let known = square > 0.0;
        let correlation = if known { (together / count) / (square / n) } else { 0.0 };
        let skewness =
            if known { n / ((n - 1.0) * (n - 2.0)) * cube / variance.powf(1.5) } else { 0.0 };
        let phi = correlation.clamp(0.0, MOST_CORRELATED);
        let error = (variance / n * (1.0 + phi) / (1.0 - phi)).sqrt();
        Self { value, error, skewness, correlation, batches: n }
    }

    /// Willink's transformation of a quantile of t. It is an expansion, and breaks down where skewness × t is large: there the
    /// skewness is taken to be no larger than it can bear, which makes the long side 1.4 times as long as the plain one.
    fn bend(&self, t: f64) -> f64 {
        let most = MOST_BENT / (6.0 * t.abs());
        let a = (self.skewness / (6.0 * self.batches.sqrt())).clamp(-most, most);
        if a.abs() < 1e-6 {
            return t;
        }
        ((1.0 + 6.0 * a * (t - a)).cbrt() - 1.0) / (2.0 * a)
    }

    /// The interval in which the truth is, by this quantile of Student's t.
    pub(crate) fn interval(&self, t: f64) -> (f64, f64) {
        (self.value - self.bend(t) * self.error, self.value - self.bend(-t) * self.error)
    }

    /// What speaks against `truth` being what is estimated, where the comparison itself may be off by `error`.
    pub(crate) fn objection(&self, truth: f64, error: f64) -> Option<String> {
        let (low, high) = self.interval(T_9999);
        if self.correlation > MOST_CORRELATED {
            return Some(format!("batches are too short: correlated by {:.2}", self.correlation));
        }
        let fits = (low - error..=high + error).contains(&truth);
        (!fits).then(|| format!("{:.5} in {low:.5} to {high:.5}, and not {truth:.5}", self.value))
    }

    /// What speaks against the run being long enough: a check must be able to fail.
    pub(crate) fn too_wide(&self) -> Option<String> {
        let (low, high) = self.interval(T_9999);
        let too_wide = high - low > WIDEST * self.value;
        too_wide.then(|| format!("{low:.5} to {high:.5} is too wide: {self:?}"))
    }
}
