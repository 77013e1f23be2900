//! A chart as a file of its own: an SVG that brings its colours, light and dark, and its legend, for
//! documents and for places that show pictures but no pages.

use super::charts::{self, Figure};
use crate::run::Run;
use std::fmt::Write as _;
use std::io;

const STYLE: &str = "svg{background:#fff;--card:#fff;--text:#1b2027;--grid:#e6e9ee;--axis:#9aa4b0;\
--limit:#b3261e;--event:#4a5560;--phase:#f8ecdc;--warmup:#eef0f3;--crowd:#b6bec8;--s0:#0072b2;\
--s1:#d55e00;--s2:#00835f;--s3:#b04a8a;--s4:#3d9bd1;--s5:#b98700;--s6:#6a4fbf;--s7:#5c6670;\
font-family:system-ui,sans-serif}polyline{fill:none;stroke-linejoin:round}\
@media(prefers-color-scheme:dark){svg{background:#181c22;--card:#181c22;--text:#e6e9ed;--grid:#262c34;\
--axis:#5d6875;--limit:#ff9a91;--event:#b4bec9;--phase:#2b251b;--warmup:#20252c;--crowd:#56606c;\
--s0:#56b4e9;--s1:#ff8a3d;--s2:#2ec49a;--s3:#e48bc0;--s4:#8fc7ff;--s5:#f0c14b;--s6:#b39dff;\
--s7:#a8b2bd}}";

/// Height of a line of the legend and its text, in the chart's own fine pixels.
const LINE: u32 = 76;

/// The percentile spectra of up to eight runs, one over the other, as an SVG file; `None` where no run
/// has enough requests for one. Each run comes with the words of its legend.
///
/// # Errors
/// When the chart cannot be drawn, which in memory does not happen.
pub fn spectrum(runs: &[(String, &Run)]) -> io::Result<Option<String>> {
    Ok(charts::overlay(runs)?.as_ref().and_then(stand_alone))
}

fn stand_alone(figure: &Figure) -> Option<String> {
    let (_, rest) = figure.svg.split_once("viewBox=\"0 0 ")?;
    let (size, rest) = rest.split_once('"')?;
    let (_, content) = rest.split_once('>')?;
    let (width, height) = size.split_once(' ')?;
    let (width, height): (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
    let content = content.strip_suffix("</svg>").unwrap_or(content);
    let tall = height + 24 + LINE * figure.legend.len() as u32;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {tall}\" width=\"{}\" \
         height=\"{}\" role=\"img\"><style>{STYLE}</style>\n{content}\n",
        width * 3 / 8,
        tall * 3 / 8
    );
    for (index, entry) in figure.legend.iter().enumerate() {
        let y = height + 24 + LINE * index as u32 + LINE / 2;
        let _ = writeln!(
            svg,
            "<line x1=\"232\" x2=\"312\" y1=\"{y}\" y2=\"{y}\" stroke=\"var(--{})\" stroke-width=\"12\"/>\
             <text x=\"340\" y=\"{y}\" dy=\"0.35em\" font-size=\"50\" fill=\"var(--text)\">{}</text>",
            entry.colour,
            charts::escape(&entry.label)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}
