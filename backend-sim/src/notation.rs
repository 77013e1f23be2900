//! Distributions and probabilities as one writes them on a command line.
//!
//! `exponential:20ms`, `lognormal:mean=20ms,cv=0.5`: the name of a distribution, then its parameters by name or in their
//! order; a bare quantity is a constant. `503:5,404:0.5`: a value and how many per cent of the requests get it, as
//! fortio's server has it. The names are those of the scenario file, so that one needs to be learnt only once.

use std::{fmt, str::FromStr, sync::Arc};

use policy::{
    distribution::{Distribution, Quantity},
    quantity::TimeSpan,
};

use crate::config::{DelayShare, StatusShare};

/// Why a text is not what it should be; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError(String);

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotationError {}

fn fail<T>(message: impl Into<String>) -> Result<T, NotationError> {
    Err(NotationError(message.into()))
}

/// The distributions, the names of their parameters in order, and an example of each.
const KNOWN: [(&str, &[&str], &str); 9] = [
    ("constant", &["value"], "constant:20ms"),
    ("uniform", &["min", "max"], "uniform:10ms,30ms"),
    ("exponential", &["mean"], "exponential:20ms"),
    ("erlang", &["k", "mean"], "erlang:k=4,mean=20ms"),
    ("hyperexponential", &["mean", "cv2"], "hyperexponential:mean=20ms,cv2=4"),
    ("lognormal", &["mean", "cv"], "lognormal:mean=20ms,cv=0.5"),
    ("pareto", &["min", "max", "alpha"], "pareto:min=5ms,max=5s,alpha=1.5"),
    ("bimodal", &["fast", "slow", "slow_share"], "bimodal:fast=5ms,slow=200ms,slow_share=0.02"),
    ("empirical", &["file"], "empirical:times.csv"),
];

/// Reads a distribution. For `empirical` it reads the file as well: a quantity with its unit on each line.
///
/// # Errors
///
/// What is wrong and an example of what is right.
pub fn distribution<Q>(text: &str) -> Result<Distribution<Q>, NotationError>
where
    Q: Quantity + FromStr<Err: fmt::Display>,
{
    let Some((name, rest)) = text.split_once(':') else {
        return match KNOWN.iter().find(|(name, ..)| *name == text) {
            Some((name, _, example)) => {
                fail(format!("`{name}` lacks its parameters; write for example `{example}`"))
            }
            None => text.parse().map(Distribution::Constant).map_err(|e: Q::Err| {
                NotationError(format!("{e}, or a distribution like `exponential:20ms`"))
            }),
        };
    };
    let Some((name, parameters, example)) = KNOWN.iter().find(|(known, ..)| *known == name) else {
        let names: Vec<&str> = KNOWN.iter().map(|(name, ..)| *name).collect();
        return fail(format!("`{name}` is no distribution; known are {}", names.join(", ")));
    };
    let given = Given::read(name, rest, parameters, example)?;
    let distribution = match *name {
        "constant" => Distribution::Constant(given.get("value")?),
        "uniform" => Distribution::Uniform { min: given.get("min")?, max: given.get("max")? },
        "exponential" => Distribution::Exponential { mean: given.get("mean")? },
        "erlang" => Distribution::Erlang { k: given.number("k")?, mean: given.get("mean")? },
        "hyperexponential" => {
            Distribution::Hyperexponential { mean: given.get("mean")?, cv2: given.number("cv2")? }
        }
        "lognormal" => {
            Distribution::Lognormal { mean: given.get("mean")?, cv: given.number("cv")? }
        }
        "pareto" => Distribution::Pareto {
            min: given.get("min")?,
            max: given.get("max")?,
            alpha: given.number("alpha")?,
        },
        "bimodal" => Distribution::Bimodal {
            fast: given.get("fast")?,
            slow: given.get("slow")?,
            slow_share: given.number("slow_share")?,
        },
        _ => {
            let file: String = given.get("file")?;
            let values = values::<Q>(&file)?;
            Distribution::Empirical { file, values }
        }
    };
    match distribution.problem() {
        Some((parameter, what)) => fail(format!("`{parameter}` of `{text}` {what}")),
        None => Ok(distribution),
    }
}

/// A quantity on each line of a file.
fn values<Q: Quantity + FromStr<Err: fmt::Display>>(
    file: &str,
) -> Result<Arc<[f64]>, NotationError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| NotationError(format!("cannot read `{file}`: {error}")))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| match line.trim().parse::<Q>() {
            Ok(value) => Ok(value.amount()),
            Err(error) => fail(format!("{file}:{}: {error}", index + 1)),
        })
        .collect()
}

/// The parameters of a distribution as they were given: one text for each known name.
struct Given<'a> {
    values: Vec<(&'a str, &'a str)>,
    example: &'a str,
}

impl<'a> Given<'a> {
    fn read(
        name: &str,
        rest: &'a str,
        known: &[&'a str],
        example: &'a str,
    ) -> Result<Self, NotationError> {
        let mut values: Vec<(&str, &str)> = Vec::with_capacity(known.len());
        for (index, part) in rest.split(',').map(str::trim).enumerate() {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key.trim(), value.trim()),
                None => match known.get(index) {
                    Some(key) => (*key, part),
                    None => {
                        return fail(format!(
                            "`{part}` is too many; write for example `{example}`"
                        ));
                    }
                },
            };
            let Some(key) = known.iter().find(|known| **known == key) else {
                let known = known.join(", ");
                return fail(format!(
                    "`{name}` has no `{key}`, but {known}; for example `{example}`"
                ));
            };
            if values.iter().any(|(seen, _)| seen == key) {
                return fail(format!("`{key}` is given twice; write for example `{example}`"));
            }
            values.push((key, value));
        }
        if let Some(missing) = known.iter().find(|key| values.iter().all(|(seen, _)| seen != *key))
        {
            return fail(format!("`{name}` lacks `{missing}`; write for example `{example}`"));
        }
        Ok(Self { values, example })
    }

    fn text(&self, key: &str) -> &'a str {
        self.values.iter().find(|(seen, _)| *seen == key).map_or("", |(_, text)| *text)
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, NotationError> {
        let text = self.text(key);
        text.parse().map_err(|_| {
            NotationError(format!(
                "`{key}` must be a number, not `{text}`; write for example `{}`",
                self.example
            ))
        })
    }

    fn get<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Result<T, NotationError> {
        self.text(key).parse().map_err(|error| {
            NotationError(format!("`{key}`: {error} (for example `{}`)", self.example))
        })
    }
}

/// Reads `503:5,404:0.5`: statuses and per cents.
///
/// # Errors
///
/// What is wrong and an example of what is right.
pub fn statuses(text: &str) -> Result<Vec<StatusShare>, NotationError> {
    let example = "503:5,404:0.5";
    shares(text, example)?
        .into_iter()
        .map(|(status, probability)| match status.parse() {
            Ok(status @ 200..=599) => Ok(StatusShare { status, probability }),
            _ => fail(format!(
                "`{status}` is no status from 200 to 599; write for example `{example}`"
            )),
        })
        .collect()
}

/// Reads `150us:10,2ms:5`: additional service demands and per cents.
///
/// # Errors
///
/// What is wrong and an example of what is right.
pub fn delays(text: &str) -> Result<Vec<DelayShare>, NotationError> {
    shares(text, "150us:10,2ms:5")?
        .into_iter()
        .map(|(time, probability)| match time.parse::<TimeSpan>() {
            Ok(time) => Ok(DelayShare { time, probability }),
            Err(error) => fail(error.to_string()),
        })
        .collect()
}

/// Reads `5` or `5%`: a probability in per cent.
///
/// # Errors
///
/// What is wrong.
pub fn per_cent(text: &str) -> Result<f64, NotationError> {
    let number = text.trim().strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value / 100.0),
        _ => fail(format!("`{text}` is not a number of per cent from 0 to 100, like `2.5`")),
    }
}

fn shares<'a>(text: &'a str, example: &str) -> Result<Vec<(&'a str, f64)>, NotationError> {
    let mut sum = 0.0;
    let mut all = Vec::new();
    for part in text.split(',') {
        let Some((value, share)) = part.trim().rsplit_once(':') else {
            return fail(format!(
                "`{part}` lacks its share in per cent; write for example `{example}`"
            ));
        };
        let share = per_cent(share)?;
        sum += share;
        all.push((value.trim(), share));
    }
    if sum > 1.0 + 1e-9 {
        return fail(format!("the shares of `{text}` add up to more than 100 per cent"));
    }
    Ok(all)
}
