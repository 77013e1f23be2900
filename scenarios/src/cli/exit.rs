//! Every exit code there is.

use std::process::ExitCode;

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
