//! The charts of the page: each a function from runs to a [`Figure`], or to nothing where there is
//! nothing to draw.
//!
//! Legends are HTML beside the chart and never lie over a line. Colours are CSS variables (the palette
//! is Okabe and Ito's, made for every kind of colour vision, with its pale tones darkened on white).

mod axis;
mod canvas;
mod compare;
mod decisions;
mod endpoints;
mod knee;
mod outcomes;
mod overtime;
mod spectrum;

pub(crate) use canvas::{Ink, escape};
pub(crate) use compare::compared;
pub(crate) use knee::of_search;
pub(crate) use spectrum::overlay;

use crate::run::Run;
use std::io;

/// How many series can be told apart by colour.
pub(crate) const COLOURS: u8 = 8;

/// A chart with its words.
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    /// What is shown, and in what unit.
    pub(crate) caption: String,
    pub(crate) svg: String,
    pub(crate) legend: Vec<Legend>,
}

/// One entry of a legend.
pub(crate) struct Legend {
    pub(crate) label: String,
    /// The CSS variable of its colour.
    pub(crate) colour: String,
    /// `line`, `area` or `dash`: a class of the style sheet.
    pub(crate) shape: &'static str,
}

impl Legend {
    fn new(label: impl Into<String>, ink: Ink, shape: &'static str) -> Self {
        let shape = if shape == "line" && ink.is_dashed() { "dash" } else { shape };
        Legend { label: label.into(), colour: ink.variable(), shape }
    }
}

/// Every chart of one run that has something to show.
pub(crate) fn figures(run: &Run) -> io::Result<Vec<Figure>> {
    let figures = [
        spectrum::of_run(run)?,
        overtime::latency(run)?,
        overtime::rates(run)?,
        outcomes::outcomes(run)?,
        decisions::retries(run)?,
        decisions::ejections(run)?,
        endpoints::share(run)?,
        endpoints::in_flight(run)?,
    ];
    Ok(figures.into_iter().flatten().collect())
}
