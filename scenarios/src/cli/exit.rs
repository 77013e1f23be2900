//! Every exit code there is.

use std::process::ExitCode;

use reports::Verdict;

/// How the program ends: what a script or a CI job goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All thresholds held; everything that was asked for was done.
    Success,
    /// A threshold failed, or there is a regression.
    ThresholdFailed,
    /// Bad usage, a bad scenario or a bad configuration.
    Usage,
    /// The run itself could not be carried out.
    CouldNotRun,
    /// Nothing matched.
    NothingMatched,
    /// The measurement is not valid: the generator could not send what was asked.
    Invalid,
    /// Interrupted by a person.
    Interrupted,
}

impl Exit {
    /// What runs of this verdict, the worst of several, end with.
    pub fn of_verdict(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Success,
            Verdict::Fail => Self::ThresholdFailed,
            Verdict::Invalid(_) => Self::Invalid,
            Verdict::Error(_) => Self::CouldNotRun,
        }
    }

    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ThresholdFailed => 1,
            Self::Usage => 2,
            Self::CouldNotRun => 3,
            Self::NothingMatched => 4,
            Self::Invalid => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
